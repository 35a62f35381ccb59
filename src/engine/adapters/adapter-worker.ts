import { parentPort, workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import type { WrittenMessage } from './adapters.ts'
import { writeAdapter, type WriteJob } from './write-adapter.ts'

/** A thread for one adapter: reading and transposing takes too long for the one that answers. */
function post(message: WrittenMessage): void {
  parentPort!.postMessage(message, [])
}

try {
  writeAdapter(workerData as WriteJob)
  post({ type: 'written' })
} catch (error) {
  post({ type: 'failed', code: errorCode(error), message: errorMessage(error) })
}
