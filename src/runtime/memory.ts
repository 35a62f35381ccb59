import { CPU, type Device } from './device.ts'
import { type Environment, memoryInfo } from './environment.ts'
import { type Pointer, addressOf } from './library.ts'

/** A block of memory on a device. On a CPU its pages are only taken when first written. */
export interface DeviceMemory {
  readonly address: Pointer
  release(): void
}

/**
 * Allocates `bytes` where `device` computes, uninitialised there and zero on a CPU. On CUDA the allocator is that of
 * `session`. Throws `RuntimeError` (`RUNTIME_MEMORY`) where there is no room.
 */
export function allocate({ ort }: Environment, device: Device, session: Pointer, bytes: number): DeviceMemory {
  if (device.kind === CPU.kind) {
    let buffer: Uint8Array | undefined = new Uint8Array(bytes)
    return { address: addressOf(buffer), release: () => { buffer = undefined } }
  }
  const memory = memoryInfo(ort, device)
  const allocator = ort.create('CreateAllocator', session, memory)
  const address = ort.create('AllocatorAlloc', allocator, bytes)
  return {
    address,
    release: () => {
      ort.call('AllocatorFree', allocator, address)
      ort.release('ReleaseAllocator', allocator)
      ort.release('ReleaseMemoryInfo', memory)
    },
  }
}
