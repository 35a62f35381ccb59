import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { loadResidentBlock } from '../../../src/engine/loading/resident.ts'
import { WeightMemory } from '../../../src/engine/loading/weight-memory.ts'
import { blockGraphs } from '../../../src/families/graphs/graphs.ts'
import { viewOf } from '../../../src/runtime/library.ts'
import { CudaHeap, HostHeap } from '../../../src/runtime/memory.ts'
import { CudaUploads } from '../../../src/runtime/uploads.ts'
import { byteLength } from '../../../src/tensor/tensor.ts'
import { MadeUpCuda } from '../../runtime/cuda/made-up-cuda.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname

async function block(quant: 'none' | 'int4') {
  const checkpoint = await openCheckpoint(FOLDER)
  const [graph] = blockGraphs(checkpoint.config, { device: 'cuda', dtype: 'float16', quant }, 0, 1)
  const [slices] = blockSlices({ checkpoint, start: 0, end: 1 }, [graph!])
  return { graph: graph!, slices: slices! }
}

for (const quant of ['none', 'int4'] as const)
  for (const locks of [true, false])
    test(`weights (${quant}) are read while others are copied, page-locked: ${locks}`, async () => {
      const { graph, slices } = await block(quant)
      // Its memory lives as long as it does.
      const host = new HostHeap()
      const expected = loadResidentBlock(host, graph, { slices, memory: new WeightMemory() })
      const cuda = new MadeUpCuda()
      if (!locks) cuda.failing.add('cudaHostAlloc')
      const heap = new CudaHeap(cuda, 0)
      const uploads = new CudaUploads(cuda, 0)
      const memory = new WeightMemory(undefined, uploads)
      let most = 0
      const { weights, allocations } = loadResidentBlock(heap, graph, { slices, memory }, {
        ...uploads,
        allocate: (bytes) => uploads.allocate(bytes),
        write: (...args) => {
          uploads.write(...args)
          most = Math.max(most, cuda.pending)
        },
        finish: () => uploads.finish(),
      } as CudaUploads)
      assert.ok(most > 1, `${most} copies under way at once`)
      assert.equal(cuda.pending, 0)
      for (const [i, { name, dtype, shape, address }] of weights.entries()) {
        const view = (at: bigint) => viewOf(at, byteLength(dtype, shape))
        assert.deepEqual(view(address), view(expected.weights[i]!.address), name)
      }
      memory.release()
      uploads.release()
      for (const { pointer } of allocations) heap.free(pointer)
      assert.equal(cuda.allocated, 0, 'all is given back')
      for (const { pointer } of expected.allocations) host.free(pointer)
    })

test('a copy that fails ends the load, and nothing is left of it', async () => {
  const { graph, slices } = await block('none')
  const cuda = new MadeUpCuda()
  cuda.failing.add('cudaMemcpyAsync')
  const uploads = new CudaUploads(cuda, 0)
  const memory = new WeightMemory(undefined, uploads)
  const load = () => loadResidentBlock(new CudaHeap(cuda, 0), graph, { slices, memory }, uploads)
  assert.throws(load, { code: 'RUNTIME_MEMORY' })
  memory.release()
  uploads.release()
  assert.equal(cuda.allocated, 0)
})

test('so many bytes are under way, and no more', () => {
  const cuda = new MadeUpCuda()
  const uploads = new CudaUploads(cuda, 0)
  const heap = new CudaHeap(cuda, 0)
  const size = 100 << 20
  const to = heap.allocate(size)
  const bytes = new Uint8Array(size)
  let done = 0
  for (let i = 0; i < 4; i++) uploads.write(to, bytes, () => done++)
  assert.deepEqual([cuda.pending, done], [2, 2])
  uploads.finish()
  assert.deepEqual([cuda.pending, done], [0, 4])
  uploads.release()
  heap.free(to)
  assert.equal(cuda.allocated, 0)
})
