import type { RankRange } from '../adapters/adapter-memory.ts'
import type { StepPrompts } from '../run/deep-prompts.ts'
import type { Row } from '../cache/row-allocator.ts'
import type { RopeTensors } from '../run/rope-tables.ts'

/** Inference goes before everything else that a span computes. */
export type Priority = 'inference' | 'forward'

/** What the engine thread is told. Buffers are transferred, never copied. */
export type EngineCommand =
  | OpenCommand
  | { readonly type: 'release'; readonly rowId: number }
  | StepCommand
  | ForkCommand
  /** The caller has itself computed the row up to `length`. */
  | { readonly type: 'length'; readonly rowId: number; readonly length: number }
  | { readonly type: 'close' }

export interface OpenCommand {
  readonly type: 'open'
  readonly rowId: number
  readonly row: Row
  readonly maxLength: number
  /** Where the row's adapter lies. */
  readonly adapter: RankRange | undefined
}

/**
 * `hidden` holds `tokens` hidden states for positions `position` and on of blocks `start` to `end` (within the span).
 */
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
  readonly prompts?: StepPrompts | undefined
}

/**
 * Row `rowId` takes over the first `tokens` positions of row `fromRowId`, for blocks `start` to `end` (within the
 * span).
 */
export interface ForkCommand {
  readonly type: 'fork'
  readonly taskId: number
  readonly rowId: number
  readonly fromRowId: number
  readonly start: number
  readonly end: number
  readonly tokens: number
}

/** A fork was done, or failed and left nothing that counts in its row. */
export interface ForkReport {
  readonly type: 'forked'
  readonly taskId: number
  readonly fault?: { readonly code: string; readonly message: string }
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
  | { readonly taskId: number; readonly output: Uint8Array }
  | { readonly taskId: number; readonly code: string; readonly message: string }

/** The rotary table of rows with this key, in shared memory; a later one covers more positions. */
export interface RopeReady {
  readonly type: 'rope'
  readonly key: string
  readonly table: RopeTensors
}

export type EngineEvent = RunReport | ForkReport | RopeReady | { readonly type: 'closed' }
