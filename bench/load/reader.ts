import { parentPort, workerData } from 'node:worker_threads'
import { readTensor } from '../../src/checkpoint/read.ts'
import type { TensorSlice } from '../../src/checkpoint/safetensors.ts'
import { WeightMemory } from '../../src/engine/weight-memory.ts'

/** The loading thread without the runtime: reads each block's tensors as loading does and posts how long it took in all. */
const blocks = workerData as TensorSlice[][]

const began = performance.now()
const memory = new WeightMemory()
for (const block of blocks) {
  const read = block.map((slice) => readTensor(slice, 'float32', (byteLength) => memory.take(byteLength)))
  for (const { data } of read) memory.give(data)
}
memory.release()
parentPort!.postMessage((performance.now() - began) / 1000, [])
