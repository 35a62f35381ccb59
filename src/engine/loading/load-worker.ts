import { parentPort, workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import type { LoadedBlocks, LoadMessage, LoadWorkerData } from './load.ts'
import { loadBlocks } from './load-blocks.ts'

/** The loading thread: one span, then it waits for its end. */
function post(message: LoadMessage<LoadedBlocks>, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer)
}

post({ type: 'started' })
// It must not end by itself: the runtime's library is unloaded with the last thread that uses it.
parentPort!.on('message', () => undefined)

try {
  const result = loadBlocks(workerData as LoadWorkerData, (progress) => post({ type: 'progress', progress }))
  post(
    { type: 'done', result },
    result.kept.map(({ data }) => data.buffer as ArrayBuffer),
  )
} catch (error) {
  post({ type: 'failed', code: errorCode(error), message: errorMessage(error) })
}
