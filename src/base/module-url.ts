import { basename } from 'node:path'

/**
 * Where module `name` (a relative path without extension) lies, seen from the module whose `import.meta.url` is given.
 * In a build all modules that are started by name lie in one folder. The bundler finds them by the calls of this
 * function and of `startWorker`: both are called with `import.meta.url` and a literal.
 */
export function moduleUrl(importMetaUrl: string, name: string): URL {
  const isSource = new URL(importMetaUrl).pathname.endsWith('.ts')
  return new URL(isSource ? `./${name}.ts` : `./${basename(name)}.js`, importMetaUrl)
}
