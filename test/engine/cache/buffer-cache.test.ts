import { bufferAccounts } from '../../../src/engine/cache/buffers/buffer-layout.ts'
import { BufferCache } from '../../../src/engine/cache/buffers/buffer-cache.ts'
import { BufferMover } from '../../../src/engine/cache/buffers/buffer-mover.ts'
import type { Device } from '../../../src/runtime/device.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { type Environment, createEnvironment } from '../../../src/runtime/environment.ts'
import type { BufferHeap } from '../../../src/runtime/memory.ts'
import { HostHeap } from '../../../src/runtime/memory.ts'
import type { Pointer } from '../../../src/runtime/library.ts'
import { threadRuntime } from '../../../src/runtime/thread-runtime.ts'
import { WEBGPU } from '../../../src/runtime/webgpu/platform.ts'
import { describe } from 'node:test'
import { ON_WEBGPU, webGpuEnvironment } from '../../webgpu.ts'
import { type CacheUnderTest, testCache } from './contract.ts'

const TOTAL_TOKENS = 2048
const SHAPE = { kvHeads: 2, cacheHeadDim: 4, dtype: 'float32' } as const
const TOKEN_BYTES = SHAPE.kvHeads * SHAPE.cacheHeadDim * 4

/** A CPU's memory, of which only whole pieces are used. */
class HostBuffers extends HostHeap implements BufferHeap {
  adopt(): void {
    throw new Error('nothing is taken over here')
  }

  writeAll(copies: readonly (readonly [Pointer, Uint8Array])[]): void {
    for (const [to, bytes] of copies) this.write(to, bytes)
  }

  copyBuffer(from: Pointer, to: Pointer, bytes: number): void {
    this.copy([{ from, fromPitch: bytes, to, toPitch: bytes, width: bytes, rows: 1 }])
  }
}

function buffers(device: Device, env: Environment, heap: BufferHeap): CacheUnderTest {
  const mover = new BufferMover(env, heap, device, SHAPE, TOKEN_BYTES)
  const cache = new BufferCache({ heap, mover, numBlocks: 3, tokenBytes: TOKEN_BYTES })
  const held = new Map<string, { readonly capacity: number; readonly parts: (readonly [Pointer, Float32Array])[] }>()
  /** The numbers of a sequence's keys, and of its values, in one block: read once, and written back before others. */
  const numbersOf = (sequence: number, block: number) => {
    const { key, value, capacity } = cache.rowOf(sequence).block(block, 1)
    const name = `${sequence}:${block}`
    const known = held.get(name)
    if (known?.parts[0]![0] === key) return known
    const parts = [key, value].map((buffer) => {
      const values = new Float32Array((capacity * TOKEN_BYTES) / 4)
      heap.read(buffer, new Uint8Array(values.buffer))
      return [buffer, values] as const
    })
    held.set(name, { capacity, parts })
    return { capacity, parts }
  }
  const writeBack = (): void => {
    for (const { parts } of held.values())
      for (const [buffer, values] of parts) heap.write(buffer, new Uint8Array(values.buffer))
    held.clear()
  }
  for (const name of ['slide', 'fork', 'release'] as const) {
    const original = cache[name].bind(cache) as (...args: unknown[]) => void
    cache[name] = (...args: unknown[]) => {
      writeBack()
      original(...args)
    }
  }
  const placesOf = (capacity: number, position: number) =>
    Array.from({ length: SHAPE.kvHeads }, (_, head) => (head * capacity + position) * SHAPE.cacheHeadDim)
  return {
    accounts: bufferAccounts(TOTAL_TOKENS),
    cache,
    write: (sequence, block, position, number) => {
      const { capacity, parts } = numbersOf(sequence, block)
      for (const [, values] of parts)
        for (const place of placesOf(capacity, position)) values.fill(number, place, place + SHAPE.cacheHeadDim)
    },
    read: (sequence, block, position) => {
      const { capacity, parts } = numbersOf(sequence, block)
      const found = parts.flatMap(([, values]) =>
        placesOf(capacity, position).flatMap((place) => [...values.subarray(place, place + SHAPE.cacheHeadDim)]),
      )
      return found.every((value) => value === found[0]) ? found[0]! : Number.NaN
    },
    close: () => cache.close(),
  }
}

testCache('a buffer for each sequence and block', () =>
  buffers(CPU, createEnvironment({ threads: 1, spin: false }), new HostBuffers()),
)

describe('on WebGPU', ON_WEBGPU, () => {
  testCache('a buffer for each sequence and block', () => buffers(WEBGPU, webGpuEnvironment(), threadRuntime.buffers()))
})
