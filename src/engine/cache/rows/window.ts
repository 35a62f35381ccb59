import { type LayerConfig, WINDOW_MARGIN_TOKENS } from '../../../checkpoint/config/layer-config.ts'
import { ROW_UNIT, type Row } from './row.ts'

/** The share of the window by which a row fills up before its latest positions move to the front. */
const SLACK_SHARE = 1 / 4

/** Address space is free, but there is no use in more of it than this for each token of memory. */
const MAX_STRETCH = 16

/**
 * Sessions are declared longer than they become: so much address space for each token of memory where rows are whole.
 */
const DECLARED_STRETCH = 4

/**
 * What the blocks of a span that attend within a window hold of rows that are longer than `slots`: only the latest
 * positions. Keys carry their rotation with them, so they may lie anywhere in their order: slot `i` of a row holds
 * position `base + i`.
 */
export interface CacheWindow {
  /** Of each block, whether it attends within a window. */
  readonly blocks: readonly boolean[]
  /** How many positions a token attends to, its own included. */
  readonly window: number
  readonly slots: number
}

/** `undefined` where no block has a window. `stepTokens`: the most that one run adds to a row. */
export function cacheWindow(layers: readonly LayerConfig[], stepTokens: number): CacheWindow | undefined {
  const blocks = layers.map(({ window }) => window !== undefined)
  if (!blocks.includes(true)) return undefined
  const window = Math.max(...layers.map((layer) => layer.window ?? 0))
  const wanted = window + WINDOW_MARGIN_TOKENS + Math.max(stepTokens, Math.ceil(window * SLACK_SHARE))
  return { blocks, window, slots: Math.ceil(wanted / ROW_UNIT) * ROW_UNIT }
}

/** What a row takes of the memory, in tokens that every block holds. */
export function rowCost({ blocks, slots }: CacheWindow, capacity: number): number {
  const windowed = blocks.filter(Boolean).length
  return Math.ceil(((blocks.length - windowed) * capacity + windowed * Math.min(capacity, slots)) / blocks.length)
}

/**
 * Where rows can lie, in tokens, in a memory of `totalTokens` tokens for each of `numBlocks` blocks that is only taken
 * as it is written. `window`: of a span with windowed blocks.
 */
export function stretchedTokens(
  window: CacheWindow | undefined,
  numBlocks: number,
  totalTokens: number,
  maxLength: number,
): number {
  const wanted = DECLARED_STRETCH * (window === undefined ? 1 : maxLength / rowCost(window, maxLength))
  // A system refuses a piece of address space that is larger than its memory: keys, or values, of one block are one.
  const stretch = Math.min(wanted, MAX_STRETCH, 2 * numBlocks)
  return Math.floor(totalTokens * Math.max(1, stretch))
}

/** With it a span keeps its rows. Plain data. */
export interface SpanWindow extends CacheWindow {
  /** Of each row its position in slot 0, one int32 for each unit of the cache, in memory that all threads share. */
  readonly bases: SharedArrayBuffer
}

export function basesMemory(positions: number): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.ceil(positions / ROW_UNIT) * Int32Array.BYTES_PER_ELEMENT)
}

/** Where the rows of a windowed span begin. */
export class RowBases {
  readonly #window: SpanWindow
  readonly #bases: Int32Array

  constructor(window: SpanWindow) {
    this.#window = window
    this.#bases = new Int32Array(window.bases)
  }

  get({ offset }: Row): number {
    return Atomics.load(this.#bases, offset / ROW_UNIT)
  }

  set({ offset }: Row, base: number): void {
    Atomics.store(this.#bases, offset / ROW_UNIT, base)
  }

  slots({ capacity }: Row): number {
    return Math.min(capacity, this.#window.slots)
  }

  /** Whether the row still holds all that a step at `position` attends to. */
  reaches(row: Row, position: number): boolean {
    const base = this.get(row)
    return base === 0 || position === 0 || position - this.#window.window + 1 >= base
  }

  /**
   * Whether a step of `tokens` at `position` fits behind what the row's slots hold. Not where they begin beyond it, as
   * in a row that was cut back to nothing.
   */
  hasRoom(row: Row, position: number, tokens: number): boolean {
    const slot = position - this.get(row)
    return slot >= 0 && slot + tokens <= this.slots(row)
  }

  /** The base that leaves a step at `position` the most room. */
  latest(position: number): number {
    return Math.max(0, position - this.#window.window + 1 - WINDOW_MARGIN_TOKENS)
  }
}
