/*
 * The room `schedule/`: what is computed next. It knows sequences, tokens, clients and time; no tensor and no device.
 */
import type { SequenceId } from '../cache/kv-cache.ts'

/**
 * What the engine is asked to compute. Plain data without tensors: those lie with the runner, under the task's id.
 * Blocks are counted within the span.
 */
export type Work = CacheStep | ForwardPass | BackwardPass

interface Task {
  readonly taskId: number
  /** Who asked for it: queues are fair between clients. */
  readonly client: string
  readonly start: number
  readonly end: number
}

/** The next `tokens` positions of a cached sequence, from `position` on. */
export interface CacheStep extends Task {
  readonly kind: 'step'
  readonly sequence: SequenceId
  readonly position: number
  readonly tokens: number
  /** Whether deep prompts are added to its positions: such a step is computed alone. */
  readonly prompted: boolean
}

/** Whole sequences of `tokens` positions each, from hidden states to hidden states; nothing of them stays. */
export interface ForwardPass extends Task {
  readonly kind: 'forward'
  readonly sequences: number
  readonly tokens: number
}

/** The gradients of a forward pass with respect to what goes into it. */
export interface BackwardPass extends Task {
  readonly kind: 'backward'
  readonly sequences: number
  readonly tokens: number
}

export type Pass = ForwardPass | BackwardPass

/** What is to be computed next. */
export type Batch = DecodeBatch | PrefillChunk | PassPiece

/** One token of each of some sequences. */
export interface DecodeBatch {
  readonly kind: 'decode'
  readonly steps: readonly CacheStep[]
}

/** Tokens `first` to `first + tokens` of one step. */
export interface PrefillChunk {
  readonly kind: 'prefill'
  readonly step: CacheStep
  readonly first: number
  readonly tokens: number
}

/** The next piece of a pass: how much of it that is, its runner knows. */
export interface PassPiece {
  readonly kind: 'pass'
  readonly pass: Pass
}
