import type { AdapterStack } from '../adapters/adapter-memory.ts'
import type { LoadedSpan } from '../loading/loaded-span.ts'

/** A loaded span, and where adapters lie that were given memory beside it. Plain data. */
export interface RunnerSpan extends LoadedSpan {
  /** Of each block; of a span that has a place for adapters. */
  readonly adapters?: readonly (readonly AdapterStack[])[] | undefined
  /** How many ranks those have room for. */
  readonly adapterRanks?: number | undefined
}
