import { SwarmError } from '../errors.ts'

/**
 * Protobuf's wire format, as far as frame headers need it: each field is a tag (the field's number and its wire type)
 * followed by the value.
 */
export const VARINT = 0
export const FIXED64 = 1
export const LENGTH_DELIMITED = 2
export type WireType = typeof VARINT | typeof FIXED64 | typeof LENGTH_DELIMITED

const MAX_UINT32 = 0xffffffff
const MAX_VARINT_BYTES = 10

/** Writes headers, one after another, into the same memory. */
export class HeaderWriter {
  readonly #bytes: Buffer
  #length = 0

  /** `maxBytes`: the longest header. */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(maxBytes)
  }

  /** The header written since `reset`; valid until the next `reset`. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  reset(): void {
    this.#length = 0
  }

  byte(value: number): void {
    this.#grow(1)
    this.#bytes[this.#length - 1] = value
  }

  tag(number: number, wireType: WireType): void {
    this.varint(number * 8 + wireType)
  }

  /** An integer from 0 to 2^32 - 1. */
  varint(value: number): void {
    for (let left = value; ; left = Math.floor(left / 128)) {
      if (left < 128) return this.byte(left)
      this.byte((left % 128) + 128)
    }
  }

  float64(value: number): void {
    this.#bytes.writeDoubleLE(value, this.#grow(8))
  }

  bytes(value: Uint8Array): void {
    this.varint(value.byteLength)
    this.#bytes.set(value, this.#grow(value.byteLength))
  }

  /** Reserves `numBytes` bytes and returns their offset. Throws `SWARM_FRAME` if the header would be too long. */
  #grow(numBytes: number): number {
    const at = this.#length
    if (at + numBytes > this.#bytes.byteLength) {
      throw new SwarmError('SWARM_FRAME', `a frame's header is over the limit of ${this.#bytes.byteLength} bytes`)
    }
    this.#length = at + numBytes
    return at
  }
}

/** Reads one header. Throws `SWARM_FRAME` if a value is malformed or runs past the header's end. */
export class HeaderReader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.byteLength
  }

  /** An integer from 0 to 2^32 - 1. */
  varint(): number {
    let value = 0
    for (let i = 0, scale = 1; i < MAX_VARINT_BYTES; i++, scale *= 128) {
      const byte = this.#bytes[this.#take(1)]!
      value += (byte % 128) * scale
      if (byte >= 128) continue
      if (value > MAX_UINT32) throw new SwarmError('SWARM_FRAME', 'a frame header has an integer over 32 bits')
      return value
    }
    throw new SwarmError('SWARM_FRAME', 'a frame header has an integer without end')
  }

  float64(): number {
    const at = this.#take(8)
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 8).getFloat64(0, true)
  }

  /** A length-delimited value, as a view of the header's memory. */
  bytes(): Uint8Array {
    const length = this.varint()
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** Skips a value of a field with an unknown number. */
  skip(wireType: number): void {
    if (wireType === VARINT) this.varint()
    else if (wireType === FIXED64) this.#take(8)
    else if (wireType === LENGTH_DELIMITED) this.bytes()
    else throw new SwarmError('SWARM_FRAME', `a frame header has a value of the unknown type ${wireType}`)
  }

  #take(numBytes: number): number {
    const at = this.#at
    if (at + numBytes > this.#bytes.byteLength) throw new SwarmError('SWARM_FRAME', 'a frame header breaks off')
    this.#at = at + numBytes
    return at
  }
}
