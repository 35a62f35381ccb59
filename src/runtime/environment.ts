import {
  ARENA_ALLOCATOR,
  ARENA_AS_REQUESTED,
  ELEMENT_TYPES,
  DEVICE_ALLOCATOR,
  LOG_LEVEL_FATAL,
  MEMORY_DEFAULT,
} from './c-api.ts'
import type { DType } from '../tensor/dtype.ts'
import { byteLength } from '../tensor/tensor.ts'
import type { Device } from './device.ts'
import type { OnnxRuntime, Pointer } from './library.ts'
import { threadRuntime } from './thread-runtime.ts'

/** `threads` compute threads for the whole process; `spin` lets idle ones burn their core for lower latency. */
export interface ThreadOptions {
  readonly threads: number
  readonly spin: boolean
}

/**
 * onnxruntime's environment, one per process: its creator's thread options win, later ones get the same one silently.
 * So the first thread that needs it creates it and hands `pointer` to the others.
 */
export interface Environment {
  readonly ort: OnnxRuntime
  readonly pointer: Pointer
}

export function createEnvironment({ threads, spin }: ThreadOptions): Environment {
  const ort = threadRuntime.onnxRuntime()
  const options = ort.create('CreateThreadingOptions')
  try {
    ort.call('SetGlobalIntraOpNumThreads', options, threads)
    ort.call('SetGlobalInterOpNumThreads', options, 1)
    ort.call('SetGlobalSpinControl', options, spin ? 1 : 0)
    const pointer = ort.create('CreateEnvWithGlobalThreadPools', LOG_LEVEL_FATAL, 'petals', options)
    shareArena(ort, pointer)
    return { ort, pointer }
  } finally {
    ort.release('ReleaseThreadingOptions', options)
  }
}

/**
 * One arena for the intermediate results of all CPU sessions. With one each, as is the library's way, every block keeps
 * what its largest run took, though only one of them runs at a time. To be called again does no harm.
 */
function shareArena(ort: OnnxRuntime, environment: Pointer): void {
  const config = ort.create('CreateArenaCfg', 0, ARENA_AS_REQUESTED, -1, -1)
  const memory = ort.create('CreateMemoryInfo', 'Cpu', ARENA_ALLOCATOR, 0, MEMORY_DEFAULT)
  try {
    ort.call('CreateAndRegisterAllocator', environment, memory, config)
  } finally {
    ort.release('ReleaseMemoryInfo', memory)
    ort.release('ReleaseArenaCfg', config)
  }
}

/** The environment that another thread of this process has created. */
export function attachEnvironment(pointer: Pointer): Environment {
  return { ort: threadRuntime.onnxRuntime(), pointer }
}

/** Names a kind of memory to the library. Release with `ReleaseMemoryInfo`. */
export function memoryInfo(ort: OnnxRuntime, device: Device): Pointer {
  return ort.create(
    'CreateMemoryInfo',
    device.kind === 'cpu' ? 'Cpu' : 'Cuda',
    DEVICE_ALLOCATOR,
    device.index,
    MEMORY_DEFAULT,
  )
}

/**
 * An OrtValue over memory that the caller owns and keeps alive until `ReleaseValue`: the library neither copies nor
 * pins it, and a collected typed array behind it means reads of freed memory.
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
