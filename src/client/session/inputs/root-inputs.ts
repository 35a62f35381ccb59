import { type Tensor, sliceRows, tensor } from '../../../tensor/tensor.ts'
import type { SpanInputs } from './span-inputs.ts'

/** Token ids, and what makes hidden states of them: float32 [tokens, hidden]. */
export interface EmbeddedIds {
  readonly ids: readonly number[]
  readonly embed: (ids: readonly number[]) => Promise<Tensor>
}

/** What positions `position` to `until` were fed: hidden states, or ids, of which they are made again. */
interface Part {
  readonly position: number
  until: number
  readonly input: Tensor | { ids: number[]; readonly embed: EmbeddedIds['embed'] }
}

/**
 * The inputs of a session's first block, which the client always has: ids where it was fed ids, four bytes of text in
 * place of a row of hidden states.
 */
export class RootInputs implements SpanInputs {
  firstTokens = Infinity
  #parts: Part[] = []

  get until(): number {
    return this.#parts.at(-1)?.until ?? 0
  }

  /**
   * Writes inputs from `position` on, which must be held up to there. With `from`, only these ids are kept in place of
   * the last rows; what comes before them (tuned prompts) is kept as it is.
   */
  write(position: number, input: Tensor, from?: EmbeddedIds): void {
    this.truncate(position)
    const until = position + input.shape[0]!
    const numRows = input.shape[0]! - (from?.ids.length ?? 0)
    if (numRows > 0) {
      const rows = sliceRows(input, 0, numRows)
      this.#parts.push({ position, until: position + numRows, input: { ...rows, data: rows.data.slice() } })
    }
    if (from !== undefined) this.#writeIds(position + numRows, until, from)
  }

  #writeIds(position: number, until: number, from: EmbeddedIds): void {
    const last = this.#parts.at(-1)
    if (last !== undefined && 'ids' in last.input && last.input.embed === from.embed) {
      for (const id of from.ids) last.input.ids.push(id)
      last.until = until
    } else {
      this.#parts.push({ position, until, input: { ids: [...from.ids], embed: from.embed } })
    }
  }

  /** Forgets the inputs from `position` on. */
  truncate(position: number): void {
    while ((this.#parts.at(-1)?.position ?? -1) >= position) this.#parts.pop()
    const last = this.#parts.pop()
    if (last !== undefined) this.#parts.push(last.until <= position ? last : cut(last, position))
  }

  /** Forgets everything. */
  drop(): void {
    this.#parts = []
  }

  /** Replaces the contents by what `source` holds before `position`. */
  copyFrom(source: RootInputs, position: number): void {
    this.firstTokens = source.firstTokens
    this.#parts = source.#parts.map((part) => cut(part, part.until))
    this.truncate(position)
  }

  /** Inputs of positions `from` to `until`, [until - from, hidden]; undefined if some are missing. */
  async range(from: number, until: number): Promise<Tensor | undefined> {
    if (until > this.until) return undefined
    const parts: Tensor[] = []
    for (const { position, until: end, input } of this.#parts) {
      const [first, last] = [Math.max(from, position) - position, Math.min(until, end) - position]
      if (last <= first) continue
      parts.push('ids' in input ? await input.embed(input.ids.slice(first, last)) : sliceRows(input, first, last))
    }
    const { dtype, shape } = parts[0]!
    return tensor(dtype, [until - from, shape[1]!], Buffer.concat(parts.map(({ data }) => data)))
  }
}

/** A part of its own memory, up to `until`. */
function cut({ position, input }: Part, until: number): Part {
  const count = until - position
  const kept = 'ids' in input ? { ...input, ids: input.ids.slice(0, count) } : sliceRows(input, 0, count)
  return { position, until, input: kept }
}
