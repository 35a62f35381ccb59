import { type Tensor, sliceRows, tensor } from '../../tensor/tensor.ts'

/**
 * The inputs of one span, for the positions that its server holds: what a replay sends to the server's successor. One
 * growing buffer [tokens, hidden]; a gap is never held, so it covers `from` up to `until`.
 */
export class InputLog {
  readonly #width: number
  readonly #dtype: Tensor['dtype']
  #buffer = new Uint8Array(0)
  #until = 0

  constructor(width: number, dtype: Tensor['dtype']) {
    this.#width = width
    this.#dtype = dtype
  }

  /** Positions 0 to `until` are held. */
  get until(): number {
    return this.#until
  }

  get bytes(): number {
    return this.#buffer.byteLength
  }

  /** Inputs [tokens, hidden] for the positions from `position` on; ignored where they would leave a gap. */
  write(position: number, input: Tensor): void {
    if (position > this.#until || input.shape[1] !== this.#width || input.dtype !== this.#dtype) return
    const rowBytes = input.data.byteLength / input.shape[0]!
    const end = position + input.shape[0]!
    if (end * rowBytes > this.#buffer.byteLength) {
      const grown = new Uint8Array(Math.max(end * rowBytes, this.#buffer.byteLength * 2))
      grown.set(this.#buffer)
      this.#buffer = grown
    }
    this.#buffer.set(input.data, position * rowBytes)
    this.#until = Math.max(this.#until, end)
  }

  truncate(position: number): void {
    this.#until = Math.min(this.#until, position)
  }

  /** Gives the memory back; a replay then recomputes from a boundary further up. */
  drop(): void {
    this.#buffer = new Uint8Array(0)
    this.#until = 0
  }

  /** Inputs for positions `from` to `until`, or undefined where not all of them are held. */
  range(from: number, until: number): Tensor | undefined {
    if (until > this.#until) return undefined
    const rowBytes = this.#buffer.byteLength === 0 ? 0 : this.#rowBytes
    const all = tensor(this.#dtype, [this.#until, this.#width], this.#buffer.subarray(0, this.#until * rowBytes))
    return sliceRows(all, from, until)
  }

  get #rowBytes(): number {
    return this.#width * (this.#dtype === 'float32' ? 4 : 2)
  }
}
