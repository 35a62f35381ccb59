import type { OnnxRuntime, Pointer } from './library.ts'

/** A graph's named input or output and the OrtValue bound to it. */
export type Bound = readonly [name: string, value: Pointer]

/** Runs a session once, synchronously, on tensors bound in place. Throws `RuntimeError`. */
export function runBound(
  ort: OnnxRuntime,
  session: Pointer,
  runOptions: Pointer,
  inputs: readonly Bound[],
  outputs: readonly Bound[],
): void {
  const binding = ort.create('CreateIoBinding', session)
  try {
    for (const [name, value] of inputs) ort.call('BindInput', binding, name, value)
    for (const [name, value] of outputs) ort.call('BindOutput', binding, name, value)
    ort.call('RunWithBinding', session, runOptions, binding)
  } finally {
    ort.release('ReleaseIoBinding', binding)
  }
}
