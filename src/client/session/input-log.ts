import { dtypeSize } from '../../tensor/dtype.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/** Tokens of one piece: what a log that shares its pieces copies before it writes into the last. */
const CHUNK_TOKENS = 64

interface Chunk {
  /** Room for CHUNK_TOKENS rows. */
  readonly data: Uint8Array
  /** Other logs read it too: it is copied before it is written to. */
  shared: boolean
}

/**
 * The inputs of one span, for the positions that its server holds: what a replay sends to the server's successor. A gap
 * is never held, so it covers everything up to `until`. Logs of forked sessions share the pieces that they have in
 * common.
 */
export class InputLog {
  readonly #width: number
  readonly #dtype: Tensor['dtype']
  readonly #rowBytes: number
  #chunks: Chunk[] = []
  #until = 0
  #firstTokens = Infinity

  constructor(width: number, dtype: Tensor['dtype']) {
    this.#width = width
    this.#dtype = dtype
    this.#rowBytes = width * dtypeSize(dtype)
  }

  /** Positions 0 to `until` are held. */
  get until(): number {
    return this.#until
  }

  /** How many positions were written at once from 0 on; Infinity while that is not known. */
  get firstTokens(): number {
    return this.#firstTokens
  }

  /** What is shared counts in each log that holds it. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_TOKENS * this.#rowBytes
  }

  /** Inputs [tokens, hidden] for the positions from `position` on; ignored where they would leave a gap. */
  write(position: number, input: Tensor): void {
    if (position > this.#until || input.shape[1] !== this.#width || input.dtype !== this.#dtype) return
    const end = position + input.shape[0]!
    if (position === 0) this.#firstTokens = end
    for (let at = position; at < end;) {
      const index = Math.floor(at / CHUNK_TOKENS)
      const until = Math.min(end, (index + 1) * CHUNK_TOKENS)
      const rows = input.data.subarray((at - position) * this.#rowBytes, (until - position) * this.#rowBytes)
      this.#makeWritable(index).set(rows, (at - index * CHUNK_TOKENS) * this.#rowBytes)
      at = until
    }
    this.#until = Math.max(this.#until, end)
  }

  truncate(position: number): void {
    this.#until = Math.min(this.#until, position)
    this.#chunks.length = Math.min(this.#chunks.length, Math.ceil(this.#until / CHUNK_TOKENS))
  }

  /** Gives the memory back; a replay then recomputes from a boundary further up. */
  drop(): void {
    this.#chunks = []
    this.#until = 0
  }

  /** Holds what `source` holds before `position`, in place of its own, sharing the memory. */
  copyFrom(source: InputLog, position: number): void {
    for (const chunk of source.#chunks) chunk.shared = true
    this.#chunks = [...source.#chunks]
    this.#until = source.#until
    this.#firstTokens = source.#firstTokens
    this.truncate(position)
  }

  /** Inputs for positions `from` to `until`, or undefined where not all of them are held. */
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
    if (chunk !== undefined && !chunk.shared) return chunk.data
    const data = chunk?.data.slice() ?? new Uint8Array(CHUNK_TOKENS * this.#rowBytes)
    this.#chunks[index] = { data, shared: false }
    return data
  }
}

/** Drops the last of the logs until all of them take at most `bytes`: the first are what replays can start from. */
export function boundMemory(logs: readonly InputLog[], bytes: number): void {
  let left = logs.reduce((sum, log) => sum + log.bytes, 0)
  for (const log of logs.toReversed()) {
    if (left <= bytes) return
    left -= log.bytes
    log.drop()
  }
}
