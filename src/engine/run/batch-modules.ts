import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { KvCache } from '../cache/kv-cache.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import type { SchedulerLimits } from '../schedule/scheduler.ts'
import type { BatchRunner } from './batch-runner.ts'
import type { RowRunnerLimits } from './row-batch-runner.ts'
import type { RunnerSpan } from './runner-span.ts'

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
