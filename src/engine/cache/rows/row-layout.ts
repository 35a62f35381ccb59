import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import { memoryIsSparse } from '../../../runtime/system-memory.ts'
import { RowAccounts } from './row-accounts.ts'
import { RowBases, type SpanWindow, basesMemory, cacheWindow, rowCost, stretchedTokens } from './window.ts'

export interface RowLayoutOptions {
  readonly config: ModelConfig
  /** The span. */
  readonly start: number
  readonly end: number
  /** Memory for rows, in tokens that every block holds. */
  readonly cacheTokens: number
  /** The most tokens that one run adds to a row. */
  readonly stepTokens: number
  /** Whether rows lie in a CPU's memory: there windowed blocks hold the latest positions only. */
  readonly onHost: boolean
}

/** Rows of a cache, and what they need to know where windowed blocks hold the latest positions only. */
export interface RowLayout {
  readonly accounts: RowAccounts
  readonly window?: SpanWindow | undefined
  /** Whether memory is taken only as it is written, and given back when a row is over. */
  readonly sparse: boolean
}

/**
 * Where memory is taken only as it is written, rows cost what they hold, and more of them fit than their lengths say;
 * long rows of windowed blocks cost less than that.
 */
export function layOutRows({ config, start, end, cacheTokens, stepTokens, onHost }: RowLayoutOptions): RowLayout {
  const sparse = onHost && memoryIsSparse()
  const kind = onHost ? cacheWindow(config.layers.slice(start, end), stepTokens) : undefined
  const positions = sparse ? stretchedTokens(kind, end - start, cacheTokens, config.maxLength) : cacheTokens
  const window = kind && { ...kind, bases: basesMemory(positions) }
  const accounts = new RowAccounts({
    totalTokens: cacheTokens,
    positions,
    costOf: kind && sparse ? (tokens) => rowCost(kind, tokens) : undefined,
    sparse,
    bases: window && new RowBases(window),
  })
  return { accounts, window, sparse }
}
