import { type Activations, activationBytes } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { SwarmError } from '../errors.ts'
import {
  FIXED64,
  type HeaderReader,
  HeaderReader as Reader,
  type HeaderWriter,
  LENGTH_DELIMITED,
  VARINT,
  type WireType,
} from './header-bytes.ts'

/** One field of a message: its number on the wire, the values it accepts, and how they are encoded. */
export interface Field<T, Presence extends 'required' | 'optional' | 'repeated' = 'required'> {
  readonly number: number
  readonly presence: Presence
  readonly wireType: WireType
  /** The accepted values in words, for the documentation. */
  readonly what: string
  /** Whether the header holds only a description and the bytes are in the payload. */
  readonly isTensor: boolean
  /** Writes the value without its tag. Throws `SWARM_FRAME` for a value that a receiver would refuse. */
  write(header: HeaderWriter, value: T): void
  /** Reads a value. Throws `SWARM_FRAME`. */
  read(header: HeaderReader): T
}

export type AnyField = Field<unknown, 'required' | 'optional' | 'repeated'>

/** Makes a field optional. */
export function optional<T>(field: Field<T>): Field<T, 'optional'> {
  return { ...field, presence: 'optional' }
}

/** Makes a field hold any number of values, also none. */
export function repeated<T>(field: Field<T>): Field<T, 'repeated'> {
  return { ...field, presence: 'repeated' }
}

const MAX_UINT32 = 0xffffffff

/** An integer from `min` to `max`. */
export function uint(number: number, { min = 0, max = MAX_UINT32 } = {}): Field<number> {
  const check = (value: number): number => {
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw bad(`is ${value}, not an integer from ${min} to ${max}`)
  }
  return {
    ...base(number, VARINT, `integer from ${min} to ${max === MAX_UINT32 ? '2^32 - 1' : max}`),
    write: (header, value) => header.varint(check(value)),
    read: (header) => check(header.varint()),
  }
}

export function flag(number: number): Field<boolean> {
  return {
    ...base(number, VARINT, '0 or 1'),
    write: (header, value) => header.varint(value ? 1 : 0),
    read: (header) => {
      const value = header.varint()
      if (value > 1) throw bad(`is ${value}, not 0 or 1`)
      return value === 1
    },
  }
}

/** A finite number. */
export function real(number: number): Field<number> {
  return {
    ...base(number, FIXED64, 'float64'),
    write: (header, value) => header.float64(finite(value)),
    read: (header) => finite(header.float64()),
  }
}

function finite(value: number): number {
  if (Number.isFinite(value)) return value
  throw bad(`is ${value}, not a finite number`)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function text(number: number, maxBytes: number): Field<string> {
  return {
    ...base(number, LENGTH_DELIMITED, `text of at most ${maxBytes} bytes`),
    write: (header, value) => header.bytes(atMost(Buffer.from(value), maxBytes)),
    read: (header) => {
      const bytes = atMost(header.bytes(), maxBytes)
      try {
        return decoder.decode(bytes)
      } catch (cause) {
        throw new SwarmError('SWARM_FRAME', 'is no UTF-8', { cause })
      }
    },
  }
}

export function bytes(number: number, maxBytes: number): Field<Uint8Array> {
  return {
    ...base(number, LENGTH_DELIMITED, `at most ${maxBytes} bytes`),
    write: (header, value) => header.bytes(atMost(value, maxBytes)),
    read: (header) => Uint8Array.from(atMost(header.bytes(), maxBytes)),
  }
}

/** An identifier of `numBytes` random bytes; in memory it is hex digits. */
export function id(number: number, numBytes: number): Field<string> {
  const check = (value: Uint8Array): Uint8Array => {
    if (value.byteLength === numBytes) return value
    throw bad(`has ${value.byteLength} bytes, not ${numBytes}`)
  }
  return {
    ...base(number, LENGTH_DELIMITED, `${numBytes} bytes`),
    write: (header, value) => header.bytes(check(Buffer.from(value, 'hex'))),
    read: (header) => {
      const value = check(header.bytes())
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
    },
  }
}

/** The dtypes of tensors; a dtype's index is its number on the wire. */
const TENSOR_DTYPES: readonly string[] = ['float32', 'float16', 'bfloat16'] satisfies FloatDType[]

/** The dtypes of activations; a dtype's index is its number on the wire. */
const ACTIVATION_DTYPES: readonly string[] = [...TENSOR_DTYPES, 'int8-blocks' satisfies Activations['dtype']]

const NO_BYTES = new Uint8Array(0)

/**
 * A tensor of a float type with the named axes, none of them of size 0. The header holds its dtype (a byte) and shape
 * (an integer per axis); the tensor that `read` returns has no data yet.
 */
export function tensor(number: number, axes: readonly string[]): Field<Tensor> {
  return payloadField<Tensor>(number, axes, { what: 'tensor', dtypes: TENSOR_DTYPES })
}

/** As `tensor`, of hidden states, which may also be int8 by blocks. */
export function activations(number: number, axes: readonly string[]): Field<Activations> {
  return payloadField<Activations>(number, axes, { what: 'activations', dtypes: ACTIVATION_DTYPES })
}

function payloadField<T extends Activations>(
  number: number,
  axes: readonly string[],
  { what, dtypes }: { what: string; dtypes: readonly string[] },
): Field<T> {
  const description = Buffer.alloc(1 + axes.length * 5)
  return {
    ...base(number, LENGTH_DELIMITED, `${what} [${axes.join(', ')}]`),
    isTensor: true,
    write: (header, { dtype, shape, data }) => {
      const code = dtypes.indexOf(dtype)
      if (code < 0 || shape.length !== axes.length || !shape.every(isAxis)) {
        throw bad(`is a ${dtype} tensor [${shape}], not one of floats [${axes.join(', ')}]`)
      }
      if (data.byteLength !== activationBytes(dtype, shape)) {
        throw bad(`is a ${dtype} tensor [${shape}] of ${data.byteLength} bytes`)
      }
      header.bytes(description.subarray(0, describe(description, code, shape)))
    },
    read: (header) => {
      const meta = new Reader(header.bytes())
      const dtype = dtypes[meta.varint()]
      if (dtype === undefined) throw bad('has an unknown dtype')
      const shape: number[] = []
      while (!meta.atEnd && shape.length <= axes.length) shape.push(meta.varint())
      if (shape.length !== axes.length || !shape.every(isAxis)) {
        throw bad(`has the shape [${shape}], not [${axes.join(', ')}]`)
      }
      return { dtype, shape, data: NO_BYTES } as unknown as T
    },
  }
}

function isAxis(dim: number): boolean {
  return dim > 0 && dim >>> 0 === dim
}

/** Writes a tensor's dtype and shape; returns the number of bytes written. */
function describe(target: Uint8Array, code: number, shape: readonly number[]): number {
  target[0] = code
  let at = 1
  for (const dim of shape) {
    let left = dim
    for (; left >= 128; left = Math.floor(left / 128)) target[at++] = (left % 128) + 128
    target[at++] = left
  }
  return at
}

function base(number: number, wireType: WireType, what: string) {
  return { number, presence: 'required' as const, wireType, what, isTensor: false }
}

function atMost(value: Uint8Array, maxBytes: number): Uint8Array {
  if (value.byteLength <= maxBytes) return value
  throw bad(`has ${value.byteLength} bytes; at most ${maxBytes} are allowed`)
}

/** The error of a field's value; `what` follows the field's name in the message. */
function bad(what: string): SwarmError {
  return new SwarmError('SWARM_FRAME', what)
}
