import { parentPort, workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { blockDigests } from '../../checkpoint/weights/fingerprint.ts'
import { blockGraphs } from '../../families/graphs.ts'
import { blockSlices } from './block-slices.ts'
import { type BlockOptions, type LoadMessage, targetOf } from './load.ts'
import { yieldToOthers } from './thread-priority.ts'

/** The hashing thread: it reads the same files at about the same time as the loading thread does. */
const options = workerData as BlockOptions

function post(message: LoadMessage<string[]>): void {
  parentPort!.postMessage(message, [])
}

post({ type: 'started' })
yieldToOthers()
try {
  const { checkpoint, start, end } = options
  const graphs = blockGraphs(checkpoint.config, targetOf(options), start, end)
  post({ type: 'done', result: blockDigests(blockSlices(options, graphs).map((block) => [...block.values()])) })
} catch (error) {
  post({ type: 'failed', code: errorCode(error), message: errorMessage(error) })
}
