import { existsSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import threads, { type WorkerOptions } from 'node:worker_threads'

/**
 * To be loaded before tests: the threads that they start run the build, as processes do that they start. Sources take a
 * thread half as long again to start, and a server starts five.
 */
const SOURCES = new URL('../src/', import.meta.url).href
const BUILD = new URL('../dist/', import.meta.url)

function built(module: string | URL): string | URL {
  if (!(module instanceof URL) || !module.href.startsWith(SOURCES)) return module
  const found = new URL(`${basename(module.pathname, '.ts')}.js`, BUILD)
  return existsSync(fileURLToPath(found)) ? found : module
}

threads.Worker = class extends threads.Worker {
  constructor(module: string | URL, options?: WorkerOptions) {
    super(built(module), options)
  }
}
syncBuiltinESMExports()
