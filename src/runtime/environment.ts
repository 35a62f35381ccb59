import { ARENA_ALLOCATOR, ARENA_AS_REQUESTED, LOG_LEVEL_FATAL, MEMORY_DEFAULT } from './c-api.ts'
import type { Device } from './device.ts'
import type { OnnxRuntime, Pointer } from './library.ts'
import { threadRuntime } from './thread-runtime.ts'
import { inTurns } from './device-turns.ts'

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

/** The environment as what runs on a device must use it: on a GPU one call at a time, whatever the thread. */
export function environmentFor(device: Device, environment: Environment): Environment {
  return device.kind !== 'cpu' ? { ...environment, ort: inTurns(environment.ort) } : environment
}
