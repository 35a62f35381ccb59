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

/**
 * The compute threads of the whole process: `threads` is their number; with `spin` idle ones busy-wait, which lowers
 * latency and keeps their cores busy.
 */
export interface ThreadOptions {
  readonly threads: number
  readonly spin: boolean
}

/**
 * onnxruntime's environment. There is one per process, with the thread options of whoever created it: a second creation
 * silently returns the same one. So the first thread creates it and passes `pointer` to the others.
 */
export interface Environment {
  readonly ort: OnnxRuntime
  readonly pointer: Pointer
}

/** Creates the process's environment. Throws `RuntimeError`. */
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
 * Makes all CPU sessions allocate intermediate results from one arena. By default each session has an arena that keeps
 * what the session's largest run needed, though only one block runs at a time. May be called again.
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

/** The environment that another thread of this process created. */
export function attachEnvironment(pointer: Pointer): Environment {
  return { ort: threadRuntime.onnxRuntime(), pointer }
}

/** Describes a device's memory to the library. The caller must release it with `ReleaseMemoryInfo`. */
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
