import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { threadRuntime } from '../../../src/runtime/thread-runtime.ts'
import { webGpuProcess } from '../../../src/runtime/webgpu/process-state.ts'
import { NO_WEBGPU, ON_WEBGPU, webGpuEnvironment } from '../../webgpu.ts'

describe('the memory of WebGPU', ON_WEBGPU, () => {
  const heap = NO_WEBGPU === false ? (webGpuEnvironment(), threadRuntime.buffers()) : undefined!
  const allocated = webGpuProcess.allocatedBytes
  const bytes = Uint8Array.from({ length: 48 }, (_, i) => i)

  after(() => assert.equal(webGpuProcess.allocatedBytes, allocated))

  it('gives back what was written, and copies whole buffers', () => {
    const [a, b] = [heap.allocate(48), heap.allocate(100)]
    heap.write(a, bytes)
    heap.copyBuffer(a, b, 48)
    const found = new Uint8Array(48)
    heap.read(b, found)
    assert.deepEqual(found, bytes)
    heap.writeAll([
      [a, new Uint8Array(16).fill(7)],
      [b, new Uint8Array(4).fill(9)],
    ])
    heap.read(a, found)
    assert.deepEqual([...found.subarray(12, 20)], [7, 7, 7, 7, 16, 17, 18, 19])
    heap.read(b, found)
    assert.deepEqual([...found.subarray(0, 6)], [9, 9, 9, 9, 4, 5])
    for (const buffer of [a, b]) heap.free(buffer)
  })

  it('refuses what the device would not notice: copies beyond a buffer, and to itself', () => {
    const [a, b] = [heap.allocate(32), heap.allocate(48)]
    assert.throws(() => heap.write(a, bytes), { name: 'RangeError', message: /48 bytes.*32/ })
    assert.throws(() => heap.read(a, new Uint8Array(33)), RangeError)
    assert.throws(() => heap.copyBuffer(b, a, 48), RangeError)
    assert.throws(() => heap.copyBuffer(a, a, 16), RangeError)
    assert.throws(() => heap.free(a + 16n), RangeError)
    for (const buffer of [a, b]) heap.free(buffer)
    assert.throws(() => heap.write(a, new Uint8Array(1)), RangeError)
  })

  it('says that there is no room where the device only gives a buffer that is none', () => {
    assert.throws(() => heap.allocate(2 ** 46), { code: 'RUNTIME_MEMORY', message: /no room/ })
    const after = heap.allocate(64)
    heap.write(after, bytes)
    heap.free(after)
  })
})
