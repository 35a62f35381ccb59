/*
 * The room `run/`: turns what the scheduler chose, sequences and tokens, into runs of the device, with their tensors,
 * rotary tables, adapters and places in the cache.
 */
import type { AdapterRanks } from '../adapters/adapter-memory.ts'
import type { SequenceId } from '../cache/kv-cache.ts'
import type { PreparedTraining } from '../loading/prepare-training.ts'
import type { Batch, Work } from '../schedule/work.ts'
import type { StepPrompts } from './deep-prompts.ts'

/** What a task computes on; its buffers are taken over. */
export interface TaskInput {
  /** [tokens, hidden], or [sequences, tokens, hidden], in the span's dtype. */
  readonly hidden: Uint8Array
  /** Deep prompts that fall into it. */
  readonly prompts?: StepPrompts | undefined
  /** Of a backward pass. */
  readonly backward?: BackwardInput | undefined
  /** Of a pass, where its adapter lies; that of a step is its sequence's. */
  readonly adapter?: AdapterRanks | undefined
}

/** What a backward pass has besides hidden states, and how it is cut up. */
export interface BackwardInput {
  /** [sequences, tokens, hidden]: of the loss with respect to the blocks' output. */
  readonly gradient: Uint8Array
  /** Sequences of one run. */
  readonly pieceRows: number
  /** Blocks whose results are held at once, between their forward and their backward runs. */
  readonly chunkBlocks: number
  /** Of each block and each of its stacks the ranks that the pass's adapter has there: 0 where it has no matrices. */
  readonly ranks?: readonly (readonly number[])[] | undefined
  /** Whether the adapter's gradients are wanted. */
  readonly adapterGradients: boolean
}

/** What is true of a sequence for as long as it is open. */
export interface SequenceTraits {
  /** Tokens that it was declared to have at most. */
  readonly maxLength: number
  /** Where its adapter lies. */
  readonly adapter: AdapterRanks | undefined
}

/** What a run of the device has computed. */
export interface RunOutcome {
  /** Tokens of each of its works: a share of a token's blocks counts as that share of a token. */
  readonly tokens: number
  /** Whether its works are done with it. */
  readonly finished: boolean
}

/** One run of the device, which carries all or a part of a batch. */
export interface DeviceRun {
  readonly works: readonly Work[]
  /** Throws where the device fails; nothing of the run counts then. */
  execute(): RunOutcome
}

/** Turns what the scheduler has chosen into runs of the device, and holds the tensors meanwhile. Synchronous. */
export interface BatchRunner {
  /** A sequence that the cache has a place for. */
  open(sequence: SequenceId, traits: SequenceTraits): void
  close(sequence: SequenceId): void
  accept(work: Work, input: TaskInput): void
  /** The runs of a batch: each ends, well or badly, before the next one is executed. */
  prepare(batch: Batch): readonly DeviceRun[]
  /** What a finished task gave, in the shape of its input, or all gradients of a pass; the task is forgotten. */
  take(taskId: number): Uint8Array
  /** Forgets a task that has failed or is not wanted any more. */
  drop(taskId: number): void
  /** Backward passes are computed with these from now on. */
  train(training: PreparedTraining): void
  /** Gives back what the device holds. */
  shutDown(): void
}
