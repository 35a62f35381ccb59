import type { OnnxRuntime, Pointer } from './library.ts'

/** An input or output of a graph, by name, and the OrtValue bound to it. */
export type Bound = readonly [name: string, value: Pointer]

/** Runs a session once on bound values; synchronous. Throws `RuntimeError`. */
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
