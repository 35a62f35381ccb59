import { type Transferable, Worker } from 'node:worker_threads'
import { moduleUrl } from '../module-url.ts'

export interface WorkerStart {
  /** What the thread finds in `workerData`: plain data. */
  readonly workerData?: unknown
  /** What of it changes hands instead of being copied. */
  readonly transferList?: Transferable[] | undefined
}

/** Starts a thread that runs module `name` beside the module whose `import.meta.url` is given. */
export function startWorker(importMetaUrl: string, name: string, start: WorkerStart = {}): Worker {
  const { workerData, transferList = [] } = start
  // Options of the process's own script, such as --eval's --input-type, make a worker fail.
  return new Worker(moduleUrl(importMetaUrl, name), { workerData, transferList, execArgv: [] })
}
