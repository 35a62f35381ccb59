import { UsageError } from '../base/errors.ts'
import type { FloatDType } from '../tensor/dtype.ts'

/**
 * A device that computes. `index` is CUDA's number of the GPU, or that of an adapter of WebGPU in the order in which
 * they are preferred; 0 for a CPU.
 */
export interface Device {
  readonly kind: 'cpu' | 'cuda' | 'webgpu'
  readonly index: number
}

/** A device as options name it. */
export function deviceText({ kind, index }: Device): string {
  return kind === 'cpu' || (kind === 'webgpu' && index === 0) ? kind : `${kind}:${index}`
}

export const CPU: Device = { kind: 'cpu', index: 0 }

/**
 * Reads a device from the option `flag`: `auto`, `cpu`, `cuda`, `cuda:N`, `webgpu` or `webgpu:N`. `auto` is CUDA if
 * `hasCuda` returns true. Throws `UsageError`.
 */
export function parseDevice(text: string, hasCuda: () => boolean, flag = '--device'): Device {
  if (text === 'cpu' || (text === 'auto' && !hasCuda())) return CPU
  const webGpu = /^webgpu(?::(\d+))?$/.exec(text)
  if (webGpu !== null) return { kind: 'webgpu', index: Number(webGpu[1] ?? 0) }
  const match = /^(?:auto|cuda)(?::(\d+))?$/.exec(text)
  if (match === null) throw new UsageError(`${flag} ${text}: expected auto, cpu, cuda, cuda:N, webgpu or webgpu:N`)
  if (!hasCuda())
    throw new UsageError(`${flag} ${text}: no CUDA provider for onnxruntime was found on this machine; use ${flag} cpu`)
  return { kind: 'cuda', index: Number(match[1] ?? 0) }
}

/**
 * Reads `--dtype` for a device. `auto` is float32 on a CPU and on WebGPU, whose kernels add float16 up in float16; on
 * CUDA it is the checkpoint's own dtype if that has 16 bits. Throws `UsageError`.
 */
export function parseDType(text: string, device: Device, checkpoint: FloatDType): FloatDType {
  if (!['auto', 'float32', 'float16', 'bfloat16'].includes(text)) {
    throw new UsageError(`--dtype ${text}: expected auto, float32, float16 or bfloat16`)
  }
  if (device.kind === 'cpu') {
    if (text === 'auto' || text === 'float32') return 'float32'
    throw new UsageError(`--dtype ${text}: a CPU computes in float32; leave --dtype out or use --device cuda`)
  }
  if (device.kind === 'webgpu') {
    if (text === 'bfloat16') throw new UsageError('--dtype bfloat16: WebGPU has none; use float32 or float16')
    return text === 'auto' ? 'float32' : (text as FloatDType)
  }
  if (text !== 'auto') return text as FloatDType
  return checkpoint === 'float32' ? 'bfloat16' : checkpoint
}
