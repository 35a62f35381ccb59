import type { AdapterRanks } from '../adapters/adapter-memory.ts'
import type { Place, SequenceId } from '../cache/kv-cache.ts'
import type { PreparedTraining } from '../loading/prepare-training.ts'
import type { TaskInput } from '../run/batch-runner.ts'
import type { RopeTensors } from '../run/rope-tables.ts'
import type { Work } from '../schedule/work.ts'

/** What the engine thread is told. Buffers are transferred, never copied. */
export type EngineCommand =
  | OpenCommand
  | { readonly type: 'release'; readonly sequence: SequenceId }
  | ComputeCommand
  | TrainCommand
  | ForkCommand
  | AdvancedCommand
  /** Nobody waits for the task any more. */
  | { readonly type: 'cancel'; readonly taskId: number }
  | { readonly type: 'close' }

export interface OpenCommand {
  readonly type: 'open'
  readonly sequence: SequenceId
  readonly place: Place
  readonly maxLength: number
  /** Where the sequence's adapter lies. */
  readonly adapter: AdapterRanks | undefined
}

export interface ComputeCommand {
  readonly type: 'compute'
  readonly work: Work
  readonly input: TaskInput
  /** When it was asked for: a run may hold up the engine thread for a while. */
  readonly sentAt: number
}

/** Backward passes are computed with these sessions from now on. */
export interface TrainCommand {
  readonly type: 'train'
  readonly training: PreparedTraining
}

/**
 * A sequence takes over the first `tokens` positions of another, for blocks `start` to `end` (within the span).
 */
export interface ForkCommand {
  readonly type: 'fork'
  readonly taskId: number
  /** Who asked for it: it pays for the time. */
  readonly client: string
  readonly sequence: SequenceId
  readonly from: SequenceId
  readonly start: number
  readonly end: number
  readonly tokens: number
}

/** The caller has itself computed the position of a sequence. */
export interface AdvancedCommand {
  readonly type: 'advanced'
  readonly sequence: SequenceId
  readonly position: number
}

/** A fork was done, or failed and left nothing that counts in its sequence. */
export interface ForkReport {
  readonly type: 'forked'
  readonly taskId: number
  readonly fault?: { readonly code: string; readonly message: string }
}

/** Tasks that waited and are forgotten now: their sequence is over, or nobody wants them. */
export interface DropReport {
  readonly type: 'dropped'
  readonly taskIds: readonly number[]
}

/** One device run and the tasks that it ended. */
export interface RunReport {
  readonly type: 'run'
  /** `pass`: a piece of a forward or backward pass. */
  readonly kind: 'decode' | 'prefill' | 'pass'
  /** Tasks that the run carried, and tokens over all of them. */
  readonly rows: number
  readonly tokens: number
  readonly seconds: number
  /** For each task that was begun by this run, how many seconds it had waited. */
  readonly waits: readonly number[]
  readonly results: readonly TaskResult[]
}

export type TaskResult =
  | { readonly taskId: number; readonly output: Uint8Array }
  | { readonly taskId: number; readonly code: string; readonly message: string }

/** The rotary table of sequences with this key, in shared memory; a later one covers more positions. */
export interface RopeReady {
  readonly type: 'rope'
  readonly key: string
  readonly table: RopeTensors
}

/** Something failed outside a run: a task that was not begun, or a sequence that nothing can be computed for now. */
export interface FaultReport {
  readonly type: 'fault'
  readonly taskId?: number
  readonly code: string
  readonly message: string
}

/** Before its first task the thread prepares itself: `prepared` of `toPrepare` steps are done. */
export interface PrepareReport {
  readonly type: 'prepared'
  readonly prepared: number
  readonly toPrepare: number
}

export type EngineEvent =
  | RunReport
  | ForkReport
  | DropReport
  | FaultReport
  | RopeReady
  | PrepareReport
  | { readonly type: 'ready' }
  | { readonly type: 'closed' }
