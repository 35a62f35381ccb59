import type { Tensor } from '../tensor/tensor.ts'
import { OPTIMIZE_BASIC } from './c-api.ts'
import { CPU, type Device } from './device.ts'
import { type Environment, memoryInfo, wrapTensor } from './environment.ts'
import type { OnnxRuntime, Pointer } from './library.ts'

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
 * Loads a model (ModelProto bytes) whose external initializers are given in memory. Takes seconds for large blocks: call
 * it off the threads that answer. Throws `RuntimeError`; nothing is leaked from a half-built state.
 */
export function createSession(
  { ort, pointer }: Environment, device: Device, model: Uint8Array, initializers: readonly Initializer[],
): Session {
  const cpu = memoryInfo(ort, CPU)
  const options = ort.create('CreateSessionOptions')
  const values: Pointer[] = []
  try {
    ort.call('SetSessionGraphOptimizationLevel', options, OPTIMIZE_BASIC)
    ort.call('DisablePerSessionThreads', options)
    if (device.kind === 'cuda') appendCuda(ort, options, device)
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

function appendCuda(ort: OnnxRuntime, options: Pointer, device: Device): void {
  const cuda = ort.create('CreateCUDAProviderOptions')
  try {
    ort.call('UpdateCUDAProviderOptions', cuda, ['device_id'], [String(device.index)], 1)
    ort.call('SessionOptionsAppendExecutionProvider_CUDA_V2', options, cuda)
  } finally {
    ort.release('ReleaseCUDAProviderOptions', cuda)
  }
}
