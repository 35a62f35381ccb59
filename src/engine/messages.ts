import type { Row } from './row-allocator.ts'

/** Inference goes before everything else that a span computes. */
export type Priority = 'inference' | 'forward'

/** What the engine thread is told. Buffers are transferred, never copied. */
export type EngineCommand =
  | { readonly type: 'open', readonly rowId: number, readonly row: Row, readonly maxLength: number }
  | { readonly type: 'release', readonly rowId: number }
  | StepCommand
  | { readonly type: 'close' }

/** `hidden` holds `tokens` hidden states for positions `position` and on of blocks `start` to `end` (within the span). */
export interface StepCommand {
  readonly type: 'step'
  readonly taskId: number
  readonly rowId: number
  readonly start: number
  readonly end: number
  readonly position: number
  readonly tokens: number
  readonly priority: Priority
  readonly hidden: Uint8Array
}

/** One device run and the tasks that it ended. */
export interface RunReport {
  readonly type: 'run'
  readonly kind: 'decode' | 'prefill'
  readonly priority: Priority
  /** Sequences that the run carried, and tokens over all of them. */
  readonly rows: number
  readonly tokens: number
  readonly seconds: number
  readonly results: readonly TaskResult[]
}

export type TaskResult =
  | { readonly taskId: number, readonly output: Uint8Array }
  | { readonly taskId: number, readonly code: string, readonly message: string }

export type EngineEvent = RunReport | { readonly type: 'closed' }
