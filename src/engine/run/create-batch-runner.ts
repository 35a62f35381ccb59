import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Environment } from '../../runtime/environment.ts'
import type { KvCache } from '../cache/kv-cache.ts'
import { RowCache } from '../cache/rows/row-cache.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import type { SchedulerLimits } from '../schedule/scheduler.ts'
import type { BatchRunner } from './batch-runner.ts'
import { createRunner, recordsSteps } from './create-runner.ts'
import type { RopeTables } from './rope-tables.ts'
import { RowBatchRunner, type RowRunnerLimits } from './row-batch-runner.ts'
import type { RunnerSpan } from './runner-span.ts'
import { TrainingRunner } from './training-runner.ts'

/** What runs a span's batches is made of. */
export interface BatchRunnerOptions {
  readonly config: ModelConfig
  readonly span: RunnerSpan
  /** Where rows lie; absent where each sequence has buffers of its own. */
  readonly memory: RowMemory | undefined
  readonly cacheTokens: number
  readonly limits: SchedulerLimits & Pick<RowRunnerLimits, 'passPieceTokens'>
  /** What weights that training reads may keep of memory. */
  readonly pinnedBytes: number
}

/** What a span's batches run on. */
export interface BatchModules {
  readonly cache: KvCache
  readonly runner: BatchRunner
}

/** Told how many of `total` steps of preparation are done. */
export type PrepareListener = (done: number, total: number) => void

/**
 * The cache of a span and what runs its batches: rows of one piece of memory, or, on WebGPU, buffers. Whatever has to be
 * compiled first has been. Throws `RuntimeError`.
 */
export async function createBatchRunner(
  env: Environment,
  options: BatchRunnerOptions,
  ropes: RopeTables,
  onPrepared: PrepareListener,
): Promise<BatchModules> {
  const { config, span, memory, cacheTokens, limits, pinnedBytes } = options
  if (memory === undefined) {
    // Only now: a thread on a CPU can do without what builds and writes graphs.
    const { createBufferModules } = await import('./buffers/create-buffer-modules.ts')
    return createBufferModules(env, options, ropes, onPrepared)
  }
  const cache = new RowCache(memory, span)
  const runner = await createRunner(env, config, { span, memory, limits })
  const createTraining = (prepared: ConstructorParameters<typeof TrainingRunner>[1]) =>
    new TrainingRunner(env, prepared, pinnedBytes)
  const bucketCacheTokens = recordsSteps(span) ? cacheTokens : undefined
  return {
    cache,
    runner: new RowBatchRunner({ span, cache, ropes, runner, createTraining }, { ...limits, bucketCacheTokens }),
  }
}
