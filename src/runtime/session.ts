import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { OPTIMIZE_BASIC, OPTIMIZE_EXTENDED } from './c-api.ts'
import { CPU, type Device } from './device.ts'
import type { Environment } from './environment.ts'
import { memoryInfo, wrapTensor } from './values.ts'
import type { OnnxRuntime, Pointer } from './library.ts'
import { TensorScope } from './tensor-scope.ts'
import { threadRuntime } from './thread-runtime.ts'

/**
 * A weight that a CPU session is given in memory. `prepacked`: the session makes a copy in its kernel's own order, so
 * the tensor may be freed once the session exists.
 */
export interface Initializer {
  readonly name: string
  readonly tensor: Tensor
  readonly prepacked: boolean
}

/**
 * A session of onnxruntime. `pointer` is valid in every thread of the process; `kept` are the tensors that the session
 * goes on reading.
 */
export interface Session {
  readonly pointer: Pointer
  readonly kept: readonly Tensor[]
}

/**
 * Creates a CPU session from a model (ModelProto bytes) and the tensors of its external initializers. Takes seconds for
 * large blocks, so do not call it on a thread that must stay responsive. Throws `RuntimeError`; leaks nothing then.
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
    return { pointer: session, kept: initializers.filter(({ prepacked }) => !prepacked).map(({ tensor }) => tensor) }
  } finally {
    for (const value of values) ort.release('ReleaseValue', value)
    ort.release('ReleaseSessionOptions', options)
    ort.release('ReleaseMemoryInfo', cpu)
  }
}

/**
 * A weight in the device's memory, which any number of sessions read. The caller must keep it allocated while they
 * exist.
 */
export interface ResidentWeight {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly address: Pointer
}

/** How a session on a device runs. */
export interface ResidentSessionOptions {
  /** Whether the first run with a `gpu_graph_id` is recorded as a CUDA graph and later ones replay it. */
  readonly cudaGraphs: boolean
  /** The most device memory that the session may use for intermediate results; WebGPU knows no such bound. */
  readonly workspaceBytes: number
  /** Whether the library fuses operators that the graph has apart: quantized products with their neighbours. */
  readonly fuses?: boolean | undefined
}

/**
 * Creates a session whose weights already lie in the device's memory, shared with other sessions. Recorded CUDA graphs
 * must be replayed on the thread that recorded them. Throws `RuntimeError`; leaks nothing then.
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
    const level = options.fuses === true ? OPTIMIZE_EXTENDED : OPTIMIZE_BASIC
    ort.call('SetSessionGraphOptimizationLevel', sessionOptions, level)
    ort.call('DisablePerSessionThreads', sessionOptions)
    if (device.kind === 'cuda') appendCuda(ort, sessionOptions, device, options)
    if (device.kind === 'webgpu') appendWebGpu(ort, sessionOptions)
    for (const { name, dtype, shape, address } of weights)
      ort.call('AddInitializer', sessionOptions, name, scope.wrap(memory, dtype, shape, address))
    return ort.create('CreateSessionFromArray', pointer, model, model.byteLength, sessionOptions)
  } finally {
    ort.release('ReleaseSessionOptions', sessionOptions)
    ort.release('ReleaseMemoryInfo', memory)
  }
}

/**
 * The options of onnxruntime's CUDA provider, as text. TF32 is off: it would round the factors of float32 products to
 * 10 bits. Norms of sums are strict: else they add up in 16 bits where values have as many.
 */
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
    enable_skip_layer_norm_strict_mode: '1',
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

/**
 * The options of onnxruntime's WebGPU provider, as text. Buffers have the sizes that were asked for and go back at
 * once: others would be rounded up, to twice as much at worst, or kept. Sizes and ranges are only checked where
 * `TEST_WEBGPU_VALIDATION` asks for it, as tests do. The first session's device counts.
 */
export function webGpuOptions(validation = process.env['TEST_WEBGPU_VALIDATION']): Record<string, string> {
  return {
    enableInt64: '1',
    storageBufferCacheMode: 'disabled',
    ...(validation !== undefined && { validationMode: validation }),
  }
}

/** A session all of whose nodes must run on the device: nothing of it is left to the CPU in silence. */
function appendWebGpu(ort: OnnxRuntime, sessionOptions: Pointer): void {
  ort.call('AddSessionConfigEntry', sessionOptions, 'session.disable_cpu_ep_fallback', '1')
  const [keys, values] = [Object.keys(webGpuOptions()), Object.values(webGpuOptions())]
  ort.call('SessionOptionsAppendExecutionProvider', sessionOptions, 'WebGPU', keys, values, keys.length)
}
