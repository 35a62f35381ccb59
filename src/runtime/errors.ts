import { PetalsError } from '../base/errors.ts'

/** The runtime library refused or failed a call. Code `RUNTIME`, or a narrower one. */
export class RuntimeError extends PetalsError {}

const OUT_OF_MEMORY = /bad_alloc|Failed to allocate memory|out of memory/i

/** Turns the library's message into ours: without the paths of its build, bounded, with a code of our own. */
export function runtimeError(call: string, message: string): RuntimeError {
  const clean = message.replace(/\/\S+\.(?:cc|h|cu):\d+\s*(?:\S+\s*)?/g, '').replace(/\s+/g, ' ').trim().slice(0, 500)
  const code = OUT_OF_MEMORY.test(message) ? 'RUNTIME_MEMORY' : /terminate flag/.test(message) ? 'RUNTIME_CANCELLED' : 'RUNTIME'
  return new RuntimeError(code, `onnxruntime ${call}: ${clean}`)
}
