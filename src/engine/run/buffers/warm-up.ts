import { dtypeSize } from '../../../tensor/dtype.ts'
import type { BufferCache } from '../../cache/buffers/buffer-cache.ts'
import type { PrepareListener } from '../batch-modules.ts'
import type { RopeTables } from '../rope-tables.ts'
import type { RunnerSpan } from '../runner-span.ts'
import type { BufferRunner } from './buffer-runner.ts'

export interface WarmUpModules {
  readonly span: RunnerSpan
  readonly cache: BufferCache
  readonly runner: BufferRunner
  readonly ropes: RopeTables
  readonly maxRows: number
  readonly maxTokens: number
}

/** Tokens of a chunk: kernels for many rows are chosen from nine on, others for a few and for one. */
const CHUNK_TOKENS = 16
const FEW_TOKENS = 2

/**
 * Runs everything once that sessions will ask for, of nothing: the device's programs are compiled where they are first
 * used, which takes seconds on GPUs and more in software, and nobody's first prompt is to wait for that. `onPrepared`
 * is told of each run.
 */
export function warmUp(
  { span, cache, runner, ropes, maxRows, maxTokens }: WarmUpModules,
  onPrepared: PrepareListener,
): void {
  const chunk = Math.min(CHUNK_TOKENS, maxTokens)
  const few = Math.min(FEW_TOKENS, maxTokens)
  const longest = 2 * chunk + few
  const key = ropes.acquire(longest, longest)
  const rows = Array.from({ length: Math.min(2, maxRows) }, () => cache.newRow())
  const end = span.resident!.length
  const run = (count: number, tokens: number, past: number): void => {
    const bytes = count * tokens * span.hiddenSize * dtypeSize(span.dtype)
    const used = rows.slice(0, count)
    for (const row of used) row.reserve(past + tokens, { start: 0, end })
    const pastLengths = used.map(() => past)
    const [input, output] = [new Uint8Array(bytes), new Uint8Array(bytes)]
    runner.run({ rows: used, pastLengths, start: 0, end, tokens, input, output }, ropes.get(key))
  }
  const runs = [
    () => run(1, chunk, 0),
    () => run(1, chunk, chunk),
    () => run(1, few, 0),
    () => run(1, few, 2 * chunk),
    () => run(1, 1, 2 * chunk),
    ...(maxRows > 1 ? [() => run(2, 1, 2 * chunk)] : []),
  ]
  try {
    onPrepared(0, runs.length)
    for (const [i, each] of runs.entries()) {
      each()
      onPrepared(i + 1, runs.length)
    }
  } finally {
    for (const row of rows) row.release()
    ropes.release(key)
  }
}
