import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { OutputBudget, type Shedding } from './output-budget.ts'

interface Entry {
  readonly position: number
  readonly until: number
  readonly output: Tensor
}

/** What one session may hold back for its client; beyond it the oldest go, and a replay has to start further up. */
const MAX_BYTES = 256 << 20

/**
 * The hidden states that a server of a push chain has sent on. They are the next span's inputs, so the client needs
 * them to replay that span; they stay here until it has acknowledged its copy.
 */
export class OutputLog implements Shedding {
  readonly #budget: OutputBudget
  #entries: Entry[] = []
  #bytes = 0
  /** Outputs before this position have been sent to the client. */
  #sentUntil = 0

  /** The `budget` bounds what all sessions of a server hold together. */
  constructor(budget = new OutputBudget()) {
    this.#budget = budget
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Tokens that the client has not been sent yet. */
  get unsentTokens(): number {
    return Math.max(0, (this.#entries.at(-1)?.until ?? 0) - Math.max(this.#sentUntil, this.#entries[0]?.position ?? 0))
  }

  /** `output` [tokens, hidden] for the positions from `position` on. */
  append(position: number, output: Tensor): void {
    this.truncate(position)
    // What lies between was computed in a replay: its client has had it, and all before it.
    if ((this.#entries.at(-1)?.until ?? position) < position) this.acknowledge(position)
    this.#entries.push({ position, until: position + output.shape[0]!, output })
    this.#grow(output.data.byteLength)
    while (this.#bytes > MAX_BYTES && this.#entries.length > 1) this.#dropFirst()
  }

  /**
   * Holds what `source` holds before `position`, in place of its own and sharing the memory; none of it counts as sent.
   */
  copyFrom(source: OutputLog, position: number): void {
    this.#entries = [...source.#entries]
    this.#sentUntil = 0
    this.#grow(source.#bytes - this.#bytes)
    this.truncate(position)
  }

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
    this.#sentUntil = Math.min(this.#sentUntil, position)
  }

  /** The client holds everything before `until`. */
  acknowledge(until: number): void {
    while (this.#entries.length > 0 && this.#entries[0]!.until <= until) this.#dropFirst()
  }

  /** The unsent outputs as one tensor, marked as sent; undefined where there are none. */
  takeUnsent(): { position: number; output: Tensor } | undefined {
    const position = Math.max(this.#sentUntil, this.#entries[0]?.position ?? 0)
    const until = this.#entries.at(-1)?.until ?? 0
    if (until <= position) return undefined
    this.#sentUntil = until
    return { position, output: this.range(position, until)! }
  }

  /** Outputs for positions `from` to `until`; undefined where some are gone. */
  range(from: number, until: number): Tensor | undefined {
    const parts = this.#entries.filter((entry) => entry.until > from && entry.position < until)
    if ((parts[0]?.position ?? Infinity) > from || (parts.at(-1)?.until ?? 0) < until) return undefined
    return concat(parts.map((entry) => rows(entry, Math.max(from, entry.position), Math.min(until, entry.until))))
  }

  /** The last output stays: it may be under way. */
  shed(): boolean {
    if (this.#entries.length < 2) return false
    this.#dropFirst()
    return true
  }

  /** Gives everything back. */
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

function rows({ position, output }: Entry, from: number, until: number): Tensor {
  const [tokens = 0, width = 0] = output.shape
  if (from === position && until === position + tokens) return output
  const rowBytes = output.data.byteLength / tokens
  return tensor(
    output.dtype,
    [until - from, width],
    output.data.subarray((from - position) * rowBytes, (until - position) * rowBytes),
  )
}

function concat(parts: readonly Tensor[]): Tensor {
  if (parts.length === 1) return parts[0]!
  const data = new Uint8Array(parts.reduce((bytes, part) => bytes + part.data.byteLength, 0))
  let offset = 0
  let tokens = 0
  for (const part of parts) {
    data.set(part.data, offset)
    offset += part.data.byteLength
    tokens += part.shape[0]!
  }
  return tensor(parts[0]!.dtype, [tokens, parts[0]!.shape[1]!], data)
}
