import { parentPort, workerData } from 'node:worker_threads'
import type { TensorSlice } from '../../src/checkpoint/weights/safetensors.ts'
import { ReadHelper } from '../../src/engine/loading/shared-read.ts'
import { WeightMemory } from '../../src/engine/loading/weight-memory.ts'

/**
 * The loading thread without the runtime: reads each block's tensors as loading does and posts how long it took in all.
 */
const blocks = workerData as TensorSlice[][]

const began = performance.now()
const helper = new ReadHelper()
const memory = new WeightMemory(helper)
for (const block of blocks) {
  const read = block.map((slice) => memory.read(slice, 'float32'))
  for (const { data } of read) memory.give(data)
}
memory.release()
helper.end()
parentPort!.postMessage((performance.now() - began) / 1000, [])
