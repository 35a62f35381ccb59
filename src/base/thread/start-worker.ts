import { type Transferable, Worker } from 'node:worker_threads'
import { moduleUrl } from '../module-url.ts'

/** How a thread begins. */
export interface WorkerStart {
  /** Plain data that the thread finds as `workerData`. */
  readonly workerData?: unknown
  /** Parts of `workerData` that are transferred instead of copied. */
  readonly transferList?: Transferable[] | undefined
}

/** Starts a thread that runs module `name`, a literal, beside the module whose `import.meta.url` is given. */
export function startWorker(importMetaUrl: string, name: string, start: WorkerStart = {}): Worker {
  const { workerData, transferList = [] } = start
  // Without the process's own execArgv: options such as --eval's --input-type make a worker fail.
  return new Worker(moduleUrl(importMetaUrl, name), { workerData, transferList, execArgv: [] })
}
