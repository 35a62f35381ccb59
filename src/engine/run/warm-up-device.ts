import { dtypeSize } from '../../tensor/dtype.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import { ROW_UNIT } from '../cache/rows/row.ts'
import type { PrepareListener } from './batch-modules.ts'
import type { RopeTables } from './rope-tables.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'

export interface WarmUpModules {
  readonly span: RunnerSpan
  /** All of whose rows are free. */
  readonly memory: RowMemory
  readonly runner: Runner
  readonly ropes: RopeTables
}

/**
 * Runs what sessions will ask for once, of nothing and in a row that is free: the session of the whole span is made,
 * the GPU's code is loaded, its libraries take their memory, and nobody's first prompt waits for that, nor anybody's
 * steps beside it. `tokens`: of a chunk. `onPrepared` is told of each run. Throws `RuntimeError`.
 */
export function warmUpDevice(
  { span, memory, runner, ropes }: WarmUpModules,
  { tokens, cacheTokens }: { readonly tokens: number; readonly cacheTokens: number },
  onPrepared: PrepareListener,
): void {
  const capacity = Math.min(Math.floor(cacheTokens / ROW_UNIT) * ROW_UNIT, wholeRow(tokens + 1))
  const chunk = Math.min(tokens, capacity - 1)
  const key = ropes.acquire(capacity, capacity)
  const run = (count: number, past: number): void => {
    const bytes = count * span.hiddenSize * dtypeSize(span.dtype)
    const [input, output] = [new Uint8Array(bytes), new Uint8Array(bytes)]
    const batch = { memory, offset: 0, capacity, start: 0, end: span.resident!.length, tokens: count, input, output }
    runner.run({ ...batch, pastLengths: [past] }, ropes.get(key, past + count))
  }
  const runs = [() => run(chunk, 0), () => run(1, chunk)]
  try {
    onPrepared(0, runs.length)
    for (const [i, each] of runs.entries()) {
      each()
      onPrepared(i + 1, runs.length)
    }
  } finally {
    ropes.release(key)
  }
}

/** The capacity of a row of so many tokens. */
function wholeRow(tokens: number): number {
  return Math.max(ROW_UNIT, 2 ** Math.ceil(Math.log2(tokens)))
}
