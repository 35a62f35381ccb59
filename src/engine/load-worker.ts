import { parentPort, workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../base/errors.ts'
import type { LoadMessage, LoadOptions } from './load.ts'
import { loadBlocks } from './load-blocks.ts'

/** The loading thread: one span, then it ends. */
function post(message: LoadMessage, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer)
}

try {
  const result = loadBlocks(workerData as LoadOptions, (progress) => post({ type: 'progress', progress }))
  post({ type: 'loaded', result }, result.kept.map(({ data }) => data.buffer as ArrayBuffer))
} catch (error) {
  post({ type: 'failed', code: errorCode(error), message: errorMessage(error) })
}
