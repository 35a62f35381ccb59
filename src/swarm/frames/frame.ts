import { Uint8ArrayList } from 'uint8arraylist'
import { activationBytes, unpackedBytes } from '../../tensor/activations.ts'
import { SwarmError } from '../errors.ts'
import { JOIN_BYTES, MAX_HEADER_BYTES, type RpcLimits } from '../limits.ts'
import type { Decoded, Incoming, IncomingTensor, MessageCodec } from './codec.ts'
import { HeaderWriter } from './header-bytes.ts'
import type { AnyMessage } from './messages.ts'

/*
 * A message on the wire: `u32le headerLength, u32le payloadLength, header, payload`. The header is the message without
 * its tensors' data, the payload the raw little-endian bytes of the tensors, in the order in which the header has them.
 */
export type FrameLimits = Pick<RpcLimits, 'headerBytes' | 'payloadBytes'>

const PRELUDE_BYTES = 8

/** Shared by all streams: a header is written and copied within one turn of the event loop. */
const headerWriter = new HeaderWriter(MAX_HEADER_BYTES)

/**
 * The bytes of a message: one buffer for a small message; for a large one a list that refers to its tensors' own
 * memory. Throws `SWARM_TOO_LARGE` if the message exceeds the receiver's limits, `SWARM_FRAME` for a bad field.
 */
export function encodeFrame(
  message: AnyMessage,
  codec: MessageCodec,
  limits: FrameLimits,
): Uint8Array | Uint8ArrayList {
  headerWriter.reset()
  const tensors = codec.encode(headerWriter, message)
  const header = headerWriter.written
  const payloadBytes = tensors.reduce((sum, { data }) => sum + data.byteLength, 0)
  checkLength('header', header.byteLength, limits.headerBytes, 'SWARM_TOO_LARGE')
  checkLength('payload', payloadBytes, limits.payloadBytes, 'SWARM_TOO_LARGE')
  checkLength('unpacked payload', unpackedBytes(tensors), limits.payloadBytes, 'SWARM_TOO_LARGE')
  const totalBytes = PRELUDE_BYTES + header.byteLength + payloadBytes
  const joined = totalBytes <= JOIN_BYTES
  const head = Buffer.allocUnsafe(joined ? totalBytes : PRELUDE_BYTES + header.byteLength)
  head.writeUInt32LE(header.byteLength, 0)
  head.writeUInt32LE(payloadBytes, 4)
  head.set(header, PRELUDE_BYTES)
  if (!joined) return new Uint8ArrayList(head, ...tensors.map(({ data }) => data))
  let offset = PRELUDE_BYTES + header.byteLength
  for (const { data } of tensors) {
    head.set(data, offset)
    offset += data.byteLength
  }
  return head
}

function checkLength(
  what: string,
  bytes: number,
  maxBytes: number,
  code: 'SWARM_FRAME' | 'SWARM_TOO_LARGE' = 'SWARM_FRAME',
): void {
  if (bytes <= maxBytes) return
  throw new SwarmError(code, `a frame's ${what} of ${bytes} bytes is over this protocol's limit of ${maxBytes}`)
}

/**
 * The most memory that is allocated for a payload because the peer has announced its length. More is allocated only as
 * bytes arrive.
 */
const TRUSTED_BYTES = 4 << 20
const GROWTH = 4

/** Cuts a stream of bytes into messages. Checks every length and shape before it allocates memory for it. */
export class FrameDecoder {
  readonly #codec: MessageCodec
  readonly #limits: FrameLimits
  readonly #emit: (message: AnyMessage, frameBytes: number) => void
  readonly #admit: (payloadBytes: number, unpackedBytes: number) => boolean
  #isHeld = false
  #stage: 'prelude' | 'header' | 'payload' = 'prelude'
  #needed = PRELUDE_BYTES
  #filled = 0
  #collected: Uint8Array | undefined
  #headerBytes = 0
  #payloadBytes = 0
  #incoming: Incoming | undefined

  /**
   * `admit` is asked before a payload is collected, with its bytes and those that it is unpacked to; where it says no,
   * nothing is taken until `goOn`.
   */
  constructor(
    codec: MessageCodec,
    limits: FrameLimits,
    emit: (message: AnyMessage, frameBytes: number) => void,
    admit: (payloadBytes: number, unpackedBytes: number) => boolean = () => true,
  ) {
    this.#codec = codec
    this.#limits = limits
    this.#emit = emit
    this.#admit = admit
  }

  /** Whether part of a frame has arrived. */
  get midFrame(): boolean {
    return this.#stage !== 'prelude' || this.#filled > 0
  }

  /** Bytes of the payload that is being collected, or is to be. */
  get payloadBytes(): number {
    return this.#stage === 'payload' ? this.#needed : 0
  }

  /** The payload that was not admitted is now. */
  goOn(): void {
    this.#isHeld = false
  }

  /**
   * Takes the next bytes and emits every message that they complete. Throws `SWARM_FRAME`; after that the decoder must
   * not be used.
   */
  push(chunk: Uint8Array): void {
    for (let offset = 0; offset < chunk.byteLength;) offset = this.take(chunk, offset)
  }

  /**
   * As `push`, from `offset` on until one frame is complete or a payload is not admitted; returns where the rest
   * begins.
   */
  take(chunk: Uint8Array, offset: number): number {
    let at = offset
    for (let emitted = false; at < chunk.byteLength && !emitted && !this.#isHeld;) {
      const size = Math.min(this.#needed - this.#filled, chunk.byteLength - at)
      const piece = chunk.subarray(at, at + size)
      at += size
      if (this.#stage !== 'payload' && size === this.#needed) this.#finishStage(piece)
      else this.#collect(piece)
      emitted = !this.midFrame
    }
    return at
  }

  #collect(piece: Uint8Array): void {
    const end = this.#filled + piece.byteLength
    const target = this.#makeRoom(end)
    target.set(piece, this.#filled)
    this.#filled = end
    if (end === this.#needed) this.#finishStage(target)
  }

  #makeRoom(end: number): Uint8Array {
    const old = this.#collected
    if (old !== undefined && old.byteLength >= end) return old
    const bytes = Math.min(this.#needed, Math.max(TRUSTED_BYTES, (old?.byteLength ?? 0) * GROWTH, end))
    this.#collected = new Uint8Array(bytes)
    if (old !== undefined) this.#collected.set(old)
    return this.#collected
  }

  #finishStage(bytes: Uint8Array): void {
    if (this.#stage === 'prelude') this.#startHeader(bytes)
    else if (this.#stage === 'header') this.#startPayload(bytes)
    else this.#finishFrame(bytes)
  }

  #startHeader(prelude: Uint8Array): void {
    this.#headerBytes = readUint32(prelude, 0)
    this.#payloadBytes = readUint32(prelude, 4)
    checkLength('header', this.#headerBytes, this.#limits.headerBytes)
    checkLength('payload', this.#payloadBytes, this.#limits.payloadBytes)
    if (this.#headerBytes === 0) throw new SwarmError('SWARM_FRAME', 'a frame has no header')
    this.#expect('header', this.#headerBytes)
  }

  #startPayload(header: Uint8Array): void {
    const incoming = this.#codec.decode(header)
    const tensors = incoming.tensors.map(({ tensor }) => tensor)
    const total = tensors.reduce((sum, { dtype, shape }) => sum + activationBytes(dtype, shape), 0)
    if (total !== this.#payloadBytes) {
      throw new SwarmError(
        'SWARM_FRAME',
        `a frame's tensors take ${total} bytes, but its payload has ${this.#payloadBytes}`,
      )
    }
    // A message has no more elements in a packed form than in float32.
    const unpacked = unpackedBytes(tensors)
    checkLength('unpacked payload', unpacked, this.#limits.payloadBytes)
    this.#incoming = incoming
    if (total === 0) return this.#finishFrame(header)
    this.#expect('payload', total)
    this.#isHeld = !this.#admit(total, unpacked)
  }

  /**
   * Emits the message. Its payload is an ArrayBuffer of exactly its size, so that it can be transferred to a worker.
   */
  #finishFrame(payload: Uint8Array): void {
    const { message, tensors } = this.#incoming!
    let offset = 0
    for (const each of tensors) offset = attach(message, each, payload, offset)
    this.#incoming = undefined
    this.#expect('prelude', PRELUDE_BYTES)
    this.#emit(message, PRELUDE_BYTES + this.#headerBytes + this.#payloadBytes)
  }

  #expect(stage: 'prelude' | 'header' | 'payload', bytes: number): void {
    this.#stage = stage
    this.#needed = bytes
    this.#filled = 0
    this.#collected = undefined
  }
}

/** Gives a tensor of the message its data; returns the offset of the next tensor's data. */
function attach(message: Decoded, { name, tensor }: IncomingTensor, payload: Uint8Array, offset: number): number {
  const end = offset + activationBytes(tensor.dtype, tensor.shape)
  message[name] = { ...tensor, data: payload.subarray(offset, end) }
  return end
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
