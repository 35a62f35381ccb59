import { PetalsError } from '../base/errors.ts'

/**
 * An error of onnxruntime, CUDA or WebGPU. Codes that callers tell apart: `RUNTIME_MEMORY` (out of memory; the next run
 * may succeed), `RUNTIME_CANCELLED`, `RUNTIME_KERNEL` (a kernel failed, the device still works), `RUNTIME_DEVICE_LOST`
 * (nothing on the device succeeds any more in this process); `RUNTIME` for all others.
 */
export class RuntimeError extends PetalsError {}

/** CUDA's error numbers after which the device is gone or every later call in the process fails ("sticky" errors). */
const LOST_CODES = /\b(?:CUDA|cuda\w*) failure (?:46|100|101|201|214|220|70[29]|71[0145678]|719|700|802|999):/
const LOST_WORDS = new RegExp(
  [
    'illegal memory access',
    'unspecified launch failure',
    'device-side assert',
    'misaligned address',
    'illegal instruction',
    'hardware stack error',
    'uncorrectable ECC',
    'context is destroyed',
    'launch timed out',
    'no CUDA-capable device',
    'fallen off the bus',
    'GPU is lost',
    'device (?:is|was) lost',
    'WebGPU device lost',
  ].join('|'),
  'i',
)
const KERNEL = new RegExp(
  [
    String.raw`\b(?:CUDA|CUBLAS|CUDNN|CURAND|CUFFT|cu\w*) (?:failure|error) `,
    'CUDA error',
    'Non-zero status code returned while running',
    'WebGPU validation failed',
  ].join('|'),
  'i',
)

const CODES: readonly (readonly [code: string, pattern: RegExp])[] = [
  [
    'RUNTIME_MEMORY',
    /bad_alloc|Failed to allocate memory|out of memory|CUBLAS_STATUS_ALLOC_FAILED|smaller than requested bytes/i,
  ],
  ['RUNTIME_CANCELLED', /terminate flag/],
  ['RUNTIME_LIBRARY', /failure (?:35|803):/],
  ['RUNTIME_DEVICE_LOST', LOST_CODES],
  ['RUNTIME_DEVICE_LOST', LOST_WORDS],
  ['RUNTIME_KERNEL', KERNEL],
]

/**
 * Turns the library's message into an error of ours: with a code, bounded in length, and without the paths of the
 * library's build.
 */
export function runtimeError(call: string, message: string): RuntimeError {
  const clean = message
    .replace(/ ; GPU=\d+ ; hostname=[^;]*; file=[^;]*; line=\d+/g, '')
    .replace(/\/\S+\.(?:cc|h|cu):\d+\s*(?:\S+\s*)?/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 500)
  const code = CODES.find(([, pattern]) => pattern.test(message))?.[0] ?? 'RUNTIME'
  return new RuntimeError(code, `${call}: ${clean}`)
}
