import { Uint8ArrayList } from 'uint8arraylist'
import { type DType, isDType } from '../../tensor/dtype.ts'
import { byteLength, type Tensor } from '../../tensor/tensor.ts'
import { SwarmError } from '../errors.ts'
import { JOIN_BYTES, MAX_DIMS, MAX_TENSORS, type RpcLimits } from '../limits.ts'
import { decodeHeader, encodeHeader, type FrameHeader, type TensorMeta } from './wire.ts'

/**
 * One message between peers. On the wire: `u32le headerLength, u32le payloadLength, header, payload`, where the header
 * is protobuf and the payload the tensors' raw bytes one after another.
 */
export interface Frame {
  readonly header: FrameHeader
  readonly tensors: readonly Tensor[]
}

export type FrameLimits = Pick<RpcLimits, 'headerBytes' | 'payloadBytes'>

const PRELUDE_BYTES = 8

/**
 * A frame's bytes: one buffer for a small frame, a list that refers to the tensors' own memory for a large one. Throws
 * `SWARM_FRAME` if it breaks the limits that the receiver would apply.
 */
export function encodeFrame(frame: Frame, limits: FrameLimits): Uint8Array | Uint8ArrayList {
  const payloadBytes = checkTensors(frame.tensors, limits.payloadBytes)
  const header = encodeHeader(frame.header, frame.tensors)
  checkLength('header', header.byteLength, limits.headerBytes)
  const totalBytes = PRELUDE_BYTES + header.byteLength + payloadBytes
  const joined = totalBytes <= JOIN_BYTES
  const head = Buffer.allocUnsafe(joined ? totalBytes : PRELUDE_BYTES + header.byteLength)
  head.writeUInt32LE(header.byteLength, 0)
  head.writeUInt32LE(payloadBytes, 4)
  head.set(header, PRELUDE_BYTES)
  if (!joined) return new Uint8ArrayList(head, ...frame.tensors.map((tensor) => tensor.data))
  let offset = PRELUDE_BYTES + header.byteLength
  for (const { data } of frame.tensors) {
    head.set(data, offset)
    offset += data.byteLength
  }
  return head
}

function checkTensors(tensors: readonly Tensor[], maxBytes: number): number {
  const total = checkMetas(tensors)
  for (const { dtype, shape, data } of tensors) {
    if (data.byteLength !== byteLength(dtype, shape)) {
      throw new SwarmError('SWARM_FRAME', `a ${dtype} tensor [${shape}] in a frame has ${data.byteLength} bytes`)
    }
  }
  checkLength('payload', total, maxBytes)
  return total
}

/** Checks counts, dtypes and shapes, and gives the bytes that they take. */
function checkMetas(metas: readonly TensorMeta[]): number {
  if (metas.length > MAX_TENSORS) {
    throw new SwarmError('SWARM_FRAME', `a frame has ${metas.length} tensors; at most ${MAX_TENSORS} are allowed`)
  }
  let total = 0
  for (const { dtype, shape } of metas) {
    if (!isDType(dtype)) throw new SwarmError('SWARM_FRAME', 'a frame has a tensor of an unknown dtype')
    if (shape.length > MAX_DIMS || shape.some((dim) => dim >>> 0 !== dim)) {
      throw new SwarmError('SWARM_FRAME', `a frame has a tensor with the shape [${shape.slice(0, MAX_DIMS + 1)}]`)
    }
    total += byteLength(dtype, shape)
  }
  return total
}

function checkLength(what: string, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return
  throw new SwarmError(
    'SWARM_FRAME',
    `a frame's ${what} of ${bytes} bytes is over this protocol's limit of ${maxBytes}`,
  )
}

interface Incoming {
  readonly header: FrameHeader
  readonly metas: readonly TensorMeta[]
}

/** Of a longer payload only this much is allocated on the peer's word; the rest follows as bytes arrive. */
const TRUSTED_BYTES = 4 << 20
const GROWTH = 4

/** Cuts a stream of bytes into frames. Every length and shape is checked before memory is allocated for it. */
export class FrameDecoder {
  readonly #limits: FrameLimits
  readonly #emit: (frame: Frame, frameBytes: number) => void
  #stage: 'prelude' | 'header' | 'payload' = 'prelude'
  #needed = PRELUDE_BYTES
  #filled = 0
  #collected: Uint8Array | undefined
  #headerBytes = 0
  #payloadBytes = 0
  #incoming: Incoming | undefined

  constructor(limits: FrameLimits, emit: (frame: Frame, frameBytes: number) => void) {
    this.#limits = limits
    this.#emit = emit
  }

  /** Whether bytes of an unfinished frame have arrived. */
  get midFrame(): boolean {
    return this.#stage !== 'prelude' || this.#filled > 0
  }

  /** Takes the next bytes and emits the frames that they complete. Throws `SWARM_FRAME`; use no further then. */
  push(chunk: Uint8Array): void {
    let offset = 0
    while (offset < chunk.byteLength) {
      const take = Math.min(this.#needed - this.#filled, chunk.byteLength - offset)
      const piece = chunk.subarray(offset, offset + take)
      offset += take
      if (this.#stage !== 'payload' && take === this.#needed) this.#finishStage(piece)
      else this.#collect(piece)
    }
  }

  #collect(piece: Uint8Array): void {
    const end = this.#filled + piece.byteLength
    const target = this.#roomFor(end)
    target.set(piece, this.#filled)
    this.#filled = end
    if (end === this.#needed) this.#finishStage(target)
  }

  #roomFor(end: number): Uint8Array {
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

  #startPayload(bytes: Uint8Array): void {
    const { header, tensors } = decodeHeader(bytes)
    const total = checkMetas(tensors)
    if (total !== this.#payloadBytes) {
      throw new SwarmError(
        'SWARM_FRAME',
        `a frame's tensors take ${total} bytes, but its payload has ${this.#payloadBytes}`,
      )
    }
    this.#incoming = { header, metas: tensors }
    if (total === 0) this.#finishFrame(new Uint8Array(0))
    else this.#expect('payload', total)
  }

  /** The payload has an ArrayBuffer of its own and of its size, so that it can be transferred to a worker. */
  #finishFrame(payload: Uint8Array): void {
    const { header, metas } = this.#incoming!
    const tensors: Tensor[] = []
    let offset = 0
    for (const { dtype, shape } of metas) {
      const end = offset + byteLength(dtype as DType, shape)
      tensors.push({ dtype: dtype as DType, shape: [...shape], data: payload.subarray(offset, end) })
      offset = end
    }
    this.#incoming = undefined
    this.#expect('prelude', PRELUDE_BYTES)
    this.#emit({ header, tensors }, PRELUDE_BYTES + this.#headerBytes + this.#payloadBytes)
  }

  #expect(stage: 'prelude' | 'header' | 'payload', bytes: number): void {
    this.#stage = stage
    this.#needed = bytes
    this.#filled = 0
    this.#collected = undefined
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
