import type { Environment } from '../../runtime/environment.ts'
import { cacheBytes } from '../cache/rows/row-memory.ts'
import { RowCache } from '../cache/rows/row-cache.ts'
import type { PreparedTraining } from '../loading/prepare-training.ts'
import { recordsSteps } from '../plan/run-limits.ts'
import type { BatchModules, BatchRunnerOptions, PrepareListener } from './batch-modules.ts'
import { createRunner } from './create-runner.ts'
import type { RopeTables } from './rope-tables.ts'
import { leastRows } from './row-bucket.ts'
import { RowBatchRunner } from './row-batch-runner.ts'
import type { RunnerSpan } from './runner-span.ts'
import { warmUpDevice } from './warm-up-device.ts'
import { TrainingRunner } from './training-runner.ts'

/**
 * The cache of a span and what runs its batches: rows of one piece of memory, or, on WebGPU, buffers. Whatever has to
 * be compiled first has been. Throws `RuntimeError`.
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
  if (span.resident !== undefined)
    warmUpDevice({ span, memory, runner, ropes }, { tokens: limits.prefillChunkTokens, cacheTokens }, onPrepared)
  const createTraining = (prepared: PreparedTraining) => new TrainingRunner(env, prepared, pinnedBytes)
  const isQuantized = (span.quant ?? 'none') !== 'none' || config.storedQuant !== undefined
  const buckets = recordsSteps({ device: span.device.kind, dtype: span.dtype })
    ? { cacheTokens, leastRows: leastRows(isQuantized), runTokens: runTokens(span) }
    : undefined
  return {
    cache,
    runner: new RowBatchRunner({ span, cache, ropes, runner, createTraining }, { ...limits, buckets }),
  }
}

/** How many tokens' keys and values take as much memory as a span's weights do on its device. */
function runTokens(span: RunnerSpan): number {
  const blocks = span.resident!
  const bytes = blocks.flatMap(({ allocations }) => allocations).reduce((sum, allocation) => sum + allocation.bytes, 0)
  return bytes / (2 * cacheBytes(span) * blocks.length)
}
