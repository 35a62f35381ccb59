import type { DType } from '../tensor/dtype.ts'
import { byteLength } from '../tensor/tensor.ts'
import { DEVICE_ALLOCATOR, ELEMENT_TYPES, MEMORY_DEFAULT } from './c-api.ts'
import type { Device } from './device.ts'
import type { OnnxRuntime, Pointer } from './library.ts'

/** The library's names of each device's memory. */
const MEMORY_NAMES: Record<Device['kind'], string> = { cpu: 'Cpu', cuda: 'Cuda', webgpu: 'WebGPU_Buffer' }

/** Describes a device's memory to the library. The caller must release it with `ReleaseMemoryInfo`. */
export function memoryInfo(ort: OnnxRuntime, device: Device): Pointer {
  // The library knows one WebGPU device, whichever adapter that is.
  const index = device.kind === 'webgpu' ? 0 : device.index
  return ort.create('CreateMemoryInfo', MEMORY_NAMES[device.kind], DEVICE_ALLOCATOR, index, MEMORY_DEFAULT)
}

/**
 * Makes an OrtValue over memory of the caller's, which must stay alive until `ReleaseValue`: the library neither copies
 * nor holds it, so a garbage-collected typed array would mean reads of freed memory.
 */
export function wrapTensor(
  ort: OnnxRuntime,
  memory: Pointer,
  dtype: DType,
  shape: readonly number[],
  data: Pointer | ArrayBufferView,
): Pointer {
  const dims = BigInt64Array.from(shape, BigInt)
  const type = (ELEMENT_TYPES as Record<string, number>)[dtype]!
  return ort.create('CreateTensorWithDataAsOrtValue', memory, data, byteLength(dtype, shape), dims, dims.length, type)
}
