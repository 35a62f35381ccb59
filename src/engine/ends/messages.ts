import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { Device } from '../../runtime/device.ts'
import type { ThreadOptions } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { BeamCandidate } from '../../sampling/beam-sampler.ts'
import type { BeamStep } from '../../sampling/choosing-head.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import type { Sample } from '../../sampling/sampler.ts'
import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { ChooserLink } from './chooser-link.ts'
import type { LoadedEnds } from './ends-runner.ts'
import type { HeadWeights } from './head-weights.ts'
import type { LossOptions, RowLosses } from './row-losses.ts'
import type { EndsOutput } from '../loading/ends-output.ts'

export interface EndsOptions extends ThreadOptions {
  readonly checkpoint: Checkpoint
  /** `logits` unless told. */
  readonly output?: EndsOutput
  /** The CPU unless told. */
  readonly device?: Device
  /** What a device computes in; a CPU in float32. */
  readonly dtype?: FloatDType
  /** A head in place of the checkpoint's. */
  readonly head?: HeadWeights | undefined
  /** Threads that choose tokens, at most; as many as compute unless told. */
  readonly choosers?: number
}

/** What the thread of the ends is told; `taskId` comes back with the answer. */
export type EndsCommand =
  | { readonly type: 'embed'; readonly taskId: number; readonly ids: BigInt64Array }
  | HeadCommand
  | LossCommand
  | ScoreCommand
  | TextCommand
  | { readonly type: 'chooser'; readonly link: ChooserLink }
  | { readonly type: 'close' }

/** Which texts and beam searches there are, each by a number of its own, and what all of them share. */
export type TextCommand =
  | {
      readonly type: 'open-text' | 'open-beams'
      readonly textId: number
      /** The thread that chooses its tokens; 0 is that of the ends. */
      readonly chooser: number
      readonly options: ResolvedOptions
      readonly ids: readonly number[]
    }
  | { readonly type: 'close-text'; readonly textId: number }
  | { readonly type: 'vocabulary'; readonly vocabulary: Vocabulary; readonly isEarly: boolean }

/** What is done with rows that the head gives. */
export type RowCommand = { readonly taskId: number } & (
  | { readonly type: 'head' }
  | { readonly type: 'choose'; readonly textId: number }
  | { readonly type: 'candidates'; readonly textId: number; readonly steps: readonly BeamStep[] }
)

/** The same, and what the head is given: `hidden` [rows, hidden]. */
export type HeadCommand = RowCommand & { readonly hidden: Float32Array }

/** What one run of the head gave: `logits` [rows, outputSize], and how long it took for a row. */
export interface HeadRows {
  readonly logits: Float32Array
  readonly outputSize: number
  readonly headSeconds: number
}

/** What is done with `numRows` rows of a run, from `row` on. */
export interface RowTask {
  readonly command: RowCommand
  readonly row: number
  readonly numRows: number
}

/** What a thread that only chooses is told. The logits lie in shared memory. */
export type ChooserCommand = TextCommand | ({ readonly type: 'rows'; readonly tasks: readonly RowTask[] } & HeadRows)

/** What is asked of `LossRunner`. */
export type LossCommand = { readonly taskId: number } & (
  | {
      readonly type: 'loss'
      readonly hidden: Float32Array
      readonly targets: Int32Array
      readonly weights: Float32Array
      readonly options: LossOptions
    }
  | { readonly type: 'head-weights' }
  | { readonly type: 'norm'; readonly hidden: Float32Array }
  | { readonly type: 'norm-gradient'; readonly hidden: Float32Array; readonly gradient: Float32Array }
  | { readonly type: 'embedding-gradient'; readonly ids: BigInt64Array; readonly gradient: Float32Array }
)

/** Which of `targets` [rows] follows each of `hidden` [rows, hidden], and how likely that and others were. */
export interface ScoreCommand {
  readonly type: 'score'
  readonly taskId: number
  readonly hidden: Float32Array
  readonly targets: readonly number[]
  readonly numTop: number
}

export type EndsEvent =
  | {
      readonly type: 'ready'
      readonly environment: Pointer
      /** For the caller's thread; none where a device computes. */
      readonly ends: LoadedEnds | undefined
      readonly headSeconds: number
    }
  | { readonly type: 'failed'; readonly taskId?: number | undefined; readonly code: string; readonly message: string }
  | {
      readonly type: 'done'
      readonly taskId: number
      readonly result: EndsResult
      readonly seconds: number
      /** How long the head takes for a row by itself; none where it was not run, or for several rows at once. */
      readonly headSeconds?: number
    }

export type EndsResult =
  | Float32Array
  | Sample
  | readonly BeamCandidate[]
  | RowLosses
  | HeadWeights
  | readonly PlaceLogprobs[]
