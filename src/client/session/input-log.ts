import { dtypeSize } from '../../tensor/dtype.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { ReplayMemory } from './replay-memory.ts'
import type { SpanInputs } from './span-inputs.ts'

/** Tokens of one chunk: the most that a log must copy before it writes into a chunk that it shares. */
const CHUNK_TOKENS = 64

interface Chunk {
  /** Memory for CHUNK_TOKENS rows. */
  readonly data: Uint8Array
  /** How many logs hold it. Where these are several, it is copied before it is written to. */
  owners: number
}

/** The inputs of a span that another one's outputs are. Logs of forked sessions share their common chunks. */
export class InputLog implements SpanInputs {
  readonly #width: number
  readonly #dtype: Tensor['dtype']
  readonly #rowBytes: number
  readonly #memory: ReplayMemory
  #chunks: Chunk[] = []
  #until = 0
  firstTokens = Infinity

  /** `memory` bounds the logs of all sessions together. */
  constructor(width: number, dtype: Tensor['dtype'], memory = new ReplayMemory()) {
    this.#memory = memory
    this.#width = width
    this.#dtype = dtype
    this.#rowBytes = width * dtypeSize(dtype)
  }

  /** Positions 0 to `until` are held, `until` not included. */
  get until(): number {
    return this.#until
  }

  /** Bytes held; shared chunks count in every log. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_TOKENS * this.#rowBytes
  }

  /** Writes inputs [tokens, hidden] for the positions from `position` on. Ignored if that would leave a gap. */
  write(position: number, input: Tensor): void {
    if (position > this.#until || input.shape[1] !== this.#width || input.dtype !== this.#dtype) return
    const end = position + input.shape[0]!
    for (let at = position; at < end;) {
      const index = Math.floor(at / CHUNK_TOKENS)
      const until = Math.min(end, (index + 1) * CHUNK_TOKENS)
      const rows = input.data.subarray((at - position) * this.#rowBytes, (until - position) * this.#rowBytes)
      this.#makeWritable(index).set(rows, (at - index * CHUNK_TOKENS) * this.#rowBytes)
      at = until
    }
    this.#until = Math.max(this.#until, end)
    this.#memory.shrink()
  }

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
  range(from: number, until: number): Tensor | undefined {
    if (until > this.#until) return undefined
    const data = new Uint8Array((until - from) * this.#rowBytes)
    for (let at = from; at < until;) {
      const index = Math.floor(at / CHUNK_TOKENS),
        first = index * CHUNK_TOKENS
      const end = Math.min(until, first + CHUNK_TOKENS)
      const rows = this.#chunks[index]!.data.subarray((at - first) * this.#rowBytes, (end - first) * this.#rowBytes)
      data.set(rows, (at - from) * this.#rowBytes)
      at = end
    }
    return tensor(this.#dtype, [until - from, this.#width], data)
  }

  #makeWritable(index: number): Uint8Array {
    const chunk = this.#chunks[index]
    if (chunk?.owners === 1) return chunk.data
    const data = chunk?.data.slice() ?? new Uint8Array(CHUNK_TOKENS * this.#rowBytes)
    if (chunk !== undefined) this.#leave(chunk)
    this.#chunks[index] = { data, owners: 1 }
    this.#memory.take(this, data.byteLength)
    return data
  }

  #leave(chunk: Chunk): void {
    chunk.owners -= 1
    if (chunk.owners === 0) this.#memory.give(chunk.data.byteLength)
  }
}
