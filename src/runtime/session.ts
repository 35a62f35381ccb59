import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { OPTIMIZE_BASIC } from './c-api.ts'
import { CPU, type Device } from './device.ts'
import { type Environment, memoryInfo, wrapTensor } from './environment.ts'
import type { OnnxRuntime, Pointer } from './library.ts'
import { TensorScope } from './tensor-scope.ts'
import { threadRuntime } from './thread-runtime.ts'

/** An external initializer. `packed`: the CPU session keeps its own copy, so the buffer may go once it exists. */
export interface Initializer {
  readonly name: string
  readonly tensor: Tensor
  readonly packed: boolean
}

/** A session's handle, valid in every thread of the process, and the buffers that it goes on reading. */
export interface Session {
  readonly pointer: Pointer
  readonly kept: readonly Tensor[]
}

/**
 * Loads a model (ModelProto bytes) for the CPU, whose external initializers are given in memory. Takes seconds for
 * large blocks: call it off the threads that answer. Throws `RuntimeError`; nothing is leaked from a half-built state.
 */
export function createSession(
  { ort, pointer }: Environment,
  model: Uint8Array,
  initializers: readonly Initializer[],
): Session {
  const cpu = memoryInfo(ort, CPU)
  const options = ort.create('CreateSessionOptions')
  const values: Pointer[] = []
  try {
    ort.call('SetSessionGraphOptimizationLevel', options, OPTIMIZE_BASIC)
    ort.call('DisablePerSessionThreads', options)
    ort.call('AddSessionConfigEntry', options, 'session.use_env_allocators', '1')
    for (const { name, tensor } of initializers) {
      const value = wrapTensor(ort, cpu, tensor.dtype, tensor.shape, tensor.data)
      values.push(value)
      ort.call('AddInitializer', options, name, value)
    }
    const session = ort.create('CreateSessionFromArray', pointer, model, model.byteLength, options)
    return { pointer: session, kept: initializers.filter(({ packed }) => !packed).map(({ tensor }) => tensor) }
  } finally {
    for (const value of values) ort.release('ReleaseValue', value)
    ort.release('ReleaseSessionOptions', options)
    ort.release('ReleaseMemoryInfo', cpu)
  }
}

/**
 * A weight in the device's own memory, which any number of sessions read; the caller keeps it for as long as they live.
 */
export interface ResidentWeight {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly address: Pointer
}

export interface ResidentSessionOptions {
  /** Runs with a `gpu_graph_id` are recorded at first and replayed from then on. */
  readonly cudaGraphs: boolean
  /** Most device memory that the session may take for intermediate results. */
  readonly workspaceBytes: number
}

/**
 * Loads a model whose external initializers lie in the device's memory and are shared with other sessions. The thread
 * that runs recorded graphs must be the one that recorded them. Throws `RuntimeError`; nothing is leaked.
 */
export function createResidentSession(
  { ort, pointer }: Environment,
  device: Device,
  model: Uint8Array,
  weights: readonly ResidentWeight[],
  options: ResidentSessionOptions,
): Pointer {
  const memory = memoryInfo(ort, device)
  const sessionOptions = ort.create('CreateSessionOptions')
  using scope = new TensorScope(ort)
  try {
    ort.call('SetSessionGraphOptimizationLevel', sessionOptions, OPTIMIZE_BASIC)
    ort.call('DisablePerSessionThreads', sessionOptions)
    if (device.kind === 'cuda') appendCuda(ort, sessionOptions, device, options)
    for (const { name, dtype, shape, address } of weights)
      ort.call('AddInitializer', sessionOptions, name, scope.wrap(memory, dtype, shape, address))
    return ort.create('CreateSessionFromArray', pointer, model, model.byteLength, sessionOptions)
  } finally {
    ort.release('ReleaseSessionOptions', sessionOptions)
    ort.release('ReleaseMemoryInfo', memory)
  }
}

/** Options of the CUDA provider, all as text. TF32 would round float32's factors to 10 bits. */
export function cudaOptions(
  device: Device,
  { cudaGraphs, workspaceBytes }: ResidentSessionOptions,
): Record<string, string> {
  return {
    device_id: String(device.index),
    gpu_mem_limit: String(workspaceBytes),
    arena_extend_strategy: 'kSameAsRequested',
    enable_cuda_graph: cudaGraphs ? '1' : '0',
    use_tf32: '0',
  }
}

function appendCuda(ort: OnnxRuntime, sessionOptions: Pointer, device: Device, options: ResidentSessionOptions): void {
  threadRuntime.cuda()
  const cuda = ort.create('CreateCUDAProviderOptions')
  try {
    const entries = Object.entries(cudaOptions(device, options))
    ort.call(
      'UpdateCUDAProviderOptions',
      cuda,
      entries.map(([key]) => key),
      entries.map(([, value]) => value),
      entries.length,
    )
    ort.call('SessionOptionsAppendExecutionProvider_CUDA_V2', sessionOptions, cuda)
  } finally {
    ort.release('ReleaseCUDAProviderOptions', cuda)
  }
}
