import { type Activations, activationBytes, concatRows } from '../../../tensor/activations.ts'
import { sliceRows } from '../../../tensor/tensor.ts'
import { widen } from '../../../tensor/travel.ts'
import { ReplayMemory } from './replay-memory.ts'
import type { SpanInputs } from './span-inputs.ts'

/** Tokens of one chunk: the most that a log must copy before it writes into a chunk that it shares. */
const CHUNK_TOKENS = 64

interface Chunk {
  /** Memory for CHUNK_TOKENS rows. */
  readonly rows: Activations
  /** How many logs hold it. Where these are several, it is copied before it is written to. */
  owners: number
}

/**
 * The inputs of a span that another one's outputs are, in the form in which they came: a replay sends these very bytes.
 * A chunk into which rows come in two forms, from a server and another one that has replaced it, goes on in float32,
 * which holds the values of both. Logs of forked sessions share their common chunks.
 */
export class InputLog implements SpanInputs {
  readonly #width: number
  readonly #memory: ReplayMemory
  #chunks: Chunk[] = []
  #until = 0
  firstTokens = Infinity

  /** `memory` bounds the logs of all sessions together. */
  constructor(width: number, memory = new ReplayMemory()) {
    this.#memory = memory
    this.#width = width
  }

  /** Positions 0 to `until` are held, `until` not included. */
  get until(): number {
    return this.#until
  }

  /** Bytes held; shared chunks count in every log. */
  get bytes(): number {
    return this.#chunks.reduce((sum, { rows }) => sum + rows.data.byteLength, 0)
  }

  /** Writes inputs [tokens, hidden] for the positions from `position` on. Ignored if that would leave a gap. */
  write(position: number, input: Activations): void {
    if (position > this.#until || input.shape[1] !== this.#width) return
    const end = position + input.shape[0]!
    for (let at = position; at < end;) {
      const index = Math.floor(at / CHUNK_TOKENS)
      const until = Math.min(end, (index + 1) * CHUNK_TOKENS)
      this.#writeChunk(index, at - index * CHUNK_TOKENS, sliceRows(input, at - position, until - position))
      at = until
    }
    this.#until = Math.max(this.#until, end)
    this.#memory.shrink()
  }

  /** Forgets the inputs from `position` on. */
  truncate(position: number): void {
    this.#until = Math.min(this.#until, position)
    for (const chunk of this.#chunks.splice(Math.ceil(this.#until / CHUNK_TOKENS))) this.#leave(chunk)
  }

  /** Discards everything; a replay then has to recompute from an earlier server. */
  drop(): void {
    for (const chunk of this.#chunks.splice(0)) this.#leave(chunk)
    this.#until = 0
    this.#memory.forget(this)
  }

  /** Replaces this log's contents by what `source` holds before `position`, sharing its memory. */
  copyFrom(source: InputLog, position: number): void {
    for (const chunk of source.#chunks) chunk.owners += 1
    this.drop()
    this.#chunks = [...source.#chunks]
    this.#memory.take(this, 0)
    this.#until = source.#until
    this.firstTokens = source.firstTokens
    this.truncate(position)
  }

  /** Inputs of positions `from` to `until`, [until - from, hidden]; undefined if some are missing. */
  range(from: number, until: number): Activations | undefined {
    if (until > this.#until) return undefined
    const parts: Activations[] = []
    for (let at = from; at < until;) {
      const index = Math.floor(at / CHUNK_TOKENS)
      const first = index * CHUNK_TOKENS
      const end = Math.min(until, first + CHUNK_TOKENS)
      parts.push(sliceRows(this.#chunks[index]!.rows, at - first, end - first))
      at = end
    }
    const dtypes = new Set(parts.map(({ dtype }) => dtype))
    const joined = concatRows(dtypes.size === 1 ? parts : parts.map(widen))
    // Rows of a single chunk are a view of its memory, which goes on being written: the caller gets a copy.
    return parts.length === 1 ? { ...joined, data: joined.data.slice() } : joined
  }

  #writeChunk(index: number, row: number, input: Activations): void {
    const before = this.#chunks[index]?.rows
    // The chunk takes over the rows' form where none of its other rows stay.
    const isFirst = row === 0 && index * CHUNK_TOKENS + input.shape[0]! >= this.#until
    const isMixed = before !== undefined && before.dtype !== input.dtype && !isFirst
    const rows = isMixed ? widen(input) : input
    const { data } = this.#makeWritable(index, rows.dtype).rows
    data.set(rows.data, row * (data.byteLength / CHUNK_TOKENS))
  }

  /** A chunk of this dtype that is the log's alone, with the rows that it had where these are of it, or are widened. */
  #makeWritable(index: number, dtype: Activations['dtype']): Chunk {
    const before = this.#chunks[index]
    if (before?.owners === 1 && before.rows.dtype === dtype) return before
    const shape = [CHUNK_TOKENS, this.#width]
    const kept =
      before !== undefined && before.rows.dtype !== dtype && dtype === 'float32' ? widen(before.rows) : before?.rows
    const data = new Uint8Array(activationBytes(dtype, shape))
    if (kept?.dtype === dtype) data.set(kept.data)
    if (before !== undefined) this.#leave(before)
    const chunk: Chunk = { rows: { dtype, shape, data } as Activations, owners: 1 }
    this.#chunks[index] = chunk
    this.#memory.take(this, data.byteLength)
    return chunk
  }

  #leave(chunk: Chunk): void {
    chunk.owners -= 1
    if (chunk.owners === 0) this.#memory.give(chunk.rows.data.byteLength)
  }
}
