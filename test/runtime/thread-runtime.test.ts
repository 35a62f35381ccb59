import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CPU } from '../../src/runtime/device.ts'
import { ThreadRuntime } from '../../src/runtime/thread-runtime.ts'

describe("a thread's runtime", () => {
  it('finds and binds each library once, and gives what it has', () => {
    const runtime = new ThreadRuntime()
    assert.equal(runtime.onnxRuntime().path, runtime.location().library)
    assert.equal(runtime.onnxRuntime(), runtime.onnxRuntime())
    assert.equal(runtime.location(), runtime.location())
    assert.equal(runtime.heap(CPU), runtime.heap(CPU))
  })

  it('shares nothing with another but the process: handles and addresses are good for both', () => {
    const [one, other] = [new ThreadRuntime(), new ThreadRuntime()]
    assert.notEqual(one.onnxRuntime(), other.onnxRuntime())
    const memory = one.onnxRuntime().create('CreateMemoryInfo', 'Cpu', 0, 0, 0)
    other.onnxRuntime().release('ReleaseMemoryInfo', memory)

    const address = one.heap(CPU).allocate(4)
    other.heap(CPU).write(address, Uint8Array.of(1, 2, 3, 4))
    const read = new Uint8Array(4)
    one.heap(CPU).read(address, read)
    assert.deepEqual([...read], [1, 2, 3, 4])
    one.heap(CPU).free(address)
  })

  it('lists the GPUs that it gives the memory of', () => {
    const runtime = new ThreadRuntime()
    for (const [i, gpu] of runtime.gpus().entries()) assert.equal(runtime.gpuMemory(i)?.totalBytes, gpu.totalBytes)
    assert.equal(runtime.gpuMemory(runtime.gpus().length), undefined)
  })

  it('maps memory of zeros, and gives its pages back', { skip: process.platform !== 'linux' }, () => {
    const { systemMemory } = new ThreadRuntime()
    const mapped = systemMemory.map(1 << 16)
    assert.equal(mapped.bytes.byteLength, 1 << 16)
    mapped.bytes.fill(7)
    systemMemory.discard(mapped.address!, 1 << 16)
    assert.ok(mapped.bytes.every((byte) => byte === 0))
    mapped.unmap()
  })
})
