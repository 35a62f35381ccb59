import { type Activations, concatRows } from '../../tensor/activations.ts'
import { sliceRows } from '../../tensor/tensor.ts'
import { OutputBudget, type Shedding } from './output-budget.ts'

/** The outputs of positions `position` to `until`, `until` not included. */
interface Entry {
  readonly position: number
  readonly until: number
  readonly output: Activations
}

/**
 * The most bytes that one session keeps. Beyond it the oldest outputs are discarded, and a replay has to start at an
 * earlier server.
 */
const MAX_BYTES = 256 << 20

/**
 * The outputs (hidden states) of one session that this server has pushed to the next server. They are that server's
 * inputs, so the client needs them to replay its span if it dies. They are kept here until the client has acknowledged
 * its copy.
 */
export class OutputLog implements Shedding {
  readonly #budget: OutputBudget
  #entries: Entry[] = []
  #bytes = 0

  readonly owner: string

  /** `budget` bounds the logs of all sessions of a server together, and those of one `owner`. */
  constructor(budget = new OutputBudget(), owner = '') {
    this.#budget = budget
    this.owner = owner
  }

  /** Bytes of one token's output. */
  get tokenBytes(): number {
    const { output } = this.#entries.at(-1) ?? {}
    return output === undefined ? 0 : output.data.byteLength / output.shape[0]!
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Adds `output` [tokens, hidden] for the positions from `position` on. */
  append(position: number, output: Activations): void {
    this.truncate(position)
    // A gap: the positions between were computed in a replay, whose outputs went to the client, and so did all before
    // them.
    if ((this.#entries.at(-1)?.until ?? position) < position) this.acknowledge(position)
    this.#entries.push({ position, until: position + output.shape[0]!, output })
    this.#grow(output.data.byteLength)
    while (this.#bytes > MAX_BYTES && this.#entries.length > 1) this.#dropFirst()
  }

  /** Replaces this log's contents by what `source` holds before `position`, sharing its memory. */
  copyFrom(source: OutputLog, position: number): void {
    this.#entries = [...source.#entries]
    this.#grow(source.#bytes - this.#bytes)
    this.truncate(position)
  }

  /** Discards the outputs from `position` on. */
  truncate(position: number): void {
    while ((this.#entries.at(-1)?.position ?? -1) >= position) this.#grow(-this.#entries.pop()!.output.data.byteLength)
    const last = this.#entries.at(-1)
    if (last !== undefined && last.until > position) {
      this.#entries[this.#entries.length - 1] = {
        position: last.position,
        until: position,
        output: rows(last, last.position, position),
      }
    }
  }

  /** The client holds all outputs before `until`: discards them. */
  acknowledge(until: number): void {
    while (this.#entries.length > 0 && this.#entries[0]!.until <= until) this.#dropFirst()
  }

  /** The outputs of positions `from` to `until`, [until - from, hidden]; undefined if some are gone. */
  range(from: number, until: number): Activations | undefined {
    const parts = this.#entries.filter((entry) => entry.until > from && entry.position < until)
    if ((parts[0]?.position ?? Infinity) > from || (parts.at(-1)?.until ?? 0) < until) return undefined
    return concatRows(parts.map((entry) => rows(entry, Math.max(from, entry.position), Math.min(until, entry.until))))
  }

  /** Discards the oldest output, but never the last one, which may be on its way. */
  shed(): boolean {
    if (this.#entries.length < 2) return false
    this.#dropFirst()
    return true
  }

  /** Discards everything. */
  clear(): void {
    this.#budget.forget(this)
    this.#entries = []
    this.#bytes = 0
  }

  #dropFirst(): void {
    this.#grow(-this.#entries.shift()!.output.data.byteLength)
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    this.#budget.changed(this, bytes)
  }
}

function rows({ position, output }: Entry, from: number, until: number): Activations {
  if (from === position && until === position + output.shape[0]!) return output
  return sliceRows(output, from - position, until - position)
}
