import { PetalsError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { Thread } from '../../base/thread/thread.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { TrainingTarget } from '../../families/graphs/training-graphs.ts'
import type { Parameter } from '../../graph/parameter.ts'
import type { Value } from '../../graph/value.ts'
import type { Pointer } from '../../runtime/library.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'
import type { BlockOptions } from './load.ts'

/** What training sessions are built for. Plain data. */
export interface PrepareOptions extends Pick<
  BlockOptions,
  'checkpoint' | 'start' | 'end' | 'device' | 'dtype' | 'quant' | 'quantCache'
> {
  readonly environment: Pointer
  readonly target: TrainingTarget
}

/** The sessions of all blocks that are alike; they hold no weights. Plain data. */
export interface TrainingKind {
  readonly forward: TrainingSession
  readonly backward: TrainingSession
  /** Forward and backward at once: nothing is kept between the two. */
  readonly both: TrainingSession
  /** What forward gives to backward, by name. */
  readonly saved: readonly Value[]
}

export interface TrainingSession {
  readonly pointer: Pointer
  /** Names of the inputs and the weights that it takes. */
  readonly inputs: readonly string[]
  /** What it gives. */
  readonly outputs: readonly string[]
}

/** What the engine thread needs for backward passes. Plain data. */
export interface PreparedTraining {
  /** Whether the sessions take an adapter's matrices. */
  readonly adapters: boolean
  readonly kinds: readonly TrainingKind[]
  /** Of each block of the span, its kind's number. */
  readonly kindOf: readonly number[]
  /** Of each block of the span, its weights, and where they and what was quantized before of them are stored. */
  readonly parameters: readonly (readonly Parameter[])[]
  readonly slices: readonly ReadonlyMap<string, TensorSlice>[]
}

/** What the thread that builds training sessions is asked. */
export interface PrepareCalls {
  prepare(options: PrepareOptions): PreparedTraining
}

/**
 * Builds the training sessions of a span in a thread of its own, which takes up to a second: for mixtures of many
 * experts there are thousands of nodes. Throws `GRAPH_UNSUPPORTED` and `RuntimeError`; nothing is left behind.
 */
export async function prepareTraining(options: PrepareOptions): Promise<PreparedTraining> {
  const thread = new Thread<PrepareCalls>(
    startWorker(import.meta.url, 'training-worker'),
    (reason) => new PetalsError('ENGINE_LOAD', `training could not be prepared: ${reason}`),
  )
  try {
    return await thread.call('prepare', options)
  } finally {
    await thread.end()
  }
}

/** Of an engine that computes nothing any more. */
export function releaseTraining({ kinds }: PreparedTraining): void {
  const ort = threadRuntime.onnxRuntime()
  for (const { forward, backward, both } of kinds)
    for (const { pointer } of [forward, backward, both]) ort.release('ReleaseSession', pointer)
}
