import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StepMemory } from '../../../src/engine/run/step-memory.ts'
import type { RowBatch } from '../../../src/engine/run/row-batch.ts'
import { viewOf } from '../../../src/runtime/library.ts'
import { CudaHeap } from '../../../src/runtime/memory.ts'
import { MadeUpCuda } from '../../runtime/cuda/made-up-cuda.ts'

for (const pinned of [true, false]) {
  test(`a step is one copy each way, for which nothing waits in page-locked memory: ${pinned}`, () => {
    const cuda = new MadeUpCuda()
    if (!pinned) cuda.failing.add('cudaHostAlloc')
    const memory = new StepMemory(new CudaHeap(cuda, 0), 8, 4)
    cuda.calls.length = 0
    const input = Uint8Array.from({ length: 24 }, (_, i) => i)
    memory.write({ pastLengths: [3, 0, 5], tokens: 2, input } as unknown as RowBatch)
    assert.deepEqual([...viewOf(memory.input, 24)], [...input])
    assert.deepEqual([...new Int32Array(viewOf(memory.lengths, 12).slice().buffer)], [4, 1, 6])
    assert.deepEqual([...new BigInt64Array(viewOf(memory.positions, 48).slice().buffer)], [3n, 4n, 0n, 1n, 5n, 6n])
    viewOf(memory.output, 24).set(input.toReversed())
    const output = new Uint8Array(24)
    memory.read(output)
    assert.deepEqual(output, input.toReversed())
    if (pinned) assert.deepEqual(cuda.calls, ['cudaSetDevice', 'cudaMemcpy', 'cudaMemcpy'])
    else assert.equal(cuda.calls.filter((name) => name === 'cudaDeviceSynchronize').length, 2)
    memory.release()
    assert.equal(cuda.allocated, 0)
  })
}
