import { encodeFrame } from '../../../src/swarm/frames/frame.ts'
import type { AnyField } from '../../../src/swarm/frames/fields.ts'
import type { Sample } from './samples.ts'

/** A field as its bytes: protobuf's tag taken apart, and the value with its length where it has one. */
interface RawField {
  readonly number: number
  readonly wireType: number
  readonly value: Buffer
}

export interface RawFrame {
  readonly code: number
  readonly fields: readonly RawField[]
  readonly payload: Buffer
}

/** A frame that is not what the schema says. */
export interface Mutation {
  readonly what: string
  readonly field: string
  readonly bytes: Buffer
}

export function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) + 128)
  }
}

function delimited(bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(bytes.byteLength), bytes])
}

function readVarint(bytes: Buffer, at: number): { value: number; end: number } {
  let value = 0
  for (let end = at, scale = 1; ; end++, scale *= 128) {
    value += (bytes[end]! % 128) * scale
    if (bytes[end]! < 128) return { value, end: end + 1 }
  }
}

/** Takes a valid frame apart, without the schema. */
export function takeApart(frame: Buffer): RawFrame {
  const headerEnd = 8 + frame.readUInt32LE(0)
  const header = frame.subarray(8, headerEnd)
  const fields: RawField[] = []
  for (let at = 1; at < header.length;) {
    const tag = readVarint(header, at)
    let end = tag.end
    if (tag.value % 8 === 0) end = readVarint(header, end).end
    else if (tag.value % 8 === 1) end += 8
    else {
      const length = readVarint(header, end)
      end = length.end + length.value
    }
    fields.push({ number: Math.floor(tag.value / 8), wireType: tag.value % 8, value: header.subarray(tag.end, end) })
    at = end
  }
  return { code: header[0]!, fields, payload: frame.subarray(headerEnd) }
}

export function putTogether({ code, fields, payload }: RawFrame): Buffer {
  const header = Buffer.concat([
    Buffer.of(code),
    ...fields.flatMap(({ number, wireType, value }) => [varint(number * 8 + wireType), value]),
  ])
  const prelude = Buffer.alloc(8)
  prelude.writeUInt32LE(header.length, 0)
  prelude.writeUInt32LE(payload.length, 4)
  return Buffer.concat([prelude, header, payload])
}

export function rawFrameOf({ message, codec, limits }: Sample): RawFrame {
  return takeApart(Buffer.from(encodeFrame(message, codec, limits).subarray()))
}

/** Values of the right type that the documented range of a field excludes. */
function outOfRange({ what }: AnyField, value: Buffer): Buffer[] {
  const range = /^integer from (\d+) to (\S+)/.exec(what)
  if (range !== null) {
    const [, min, max] = range
    return [varint(max === '2^32' ? 2 ** 32 : Number(max) + 1), ...(min === '0' ? [] : [varint(Number(min) - 1)])]
  }
  if (what === '0 or 1') return [varint(2)]
  if (what === 'float64')
    return [Number.NaN, Number.POSITIVE_INFINITY].map((number) => Buffer.from(Float64Array.of(number).buffer))
  const most = /at most (\d+) bytes$/.exec(what)?.[1]
  const tooLong = most === undefined ? [] : [delimited(Buffer.alloc(Number(most) + 1, 0x61))]
  if (what.startsWith('text')) return [...tooLong, delimited(Buffer.of(0x61, 0xff))]
  if (most !== undefined) return tooLong
  const exactly = /^(\d+) bytes$/.exec(what)?.[1]
  if (exactly !== undefined) return [-1, 1].map((change) => delimited(Buffer.alloc(Number(exactly) + change)))
  const [, kind, axes] = /^(tensor|activations) \[(.+)\]$/.exec(what) ?? []
  if (axes === undefined) throw new Error(`a field of a new type: ${what}`)
  const meta = value.subarray(1)
  return [
    Buffer.of(kind === 'tensor' ? 3 : 4, ...meta.subarray(1)),
    Buffer.of(...meta.subarray(0, -1), 0),
    meta.subarray(0, -1),
    Buffer.of(...meta, 1),
    Buffer.alloc(0),
  ].map(delimited)
}

const OTHER_TYPES = [
  { wireType: 0, value: varint(1) },
  { wireType: 1, value: Buffer.alloc(8) },
  { wireType: 2, value: delimited(Buffer.of(1, 1)) },
  { wireType: 5, value: Buffer.alloc(4) },
]

/** Each field of a message lacking, twice, of another type and out of its range. */
export function mutationsOf(sample: Sample): Mutation[] {
  const raw = rawFrameOf(sample)
  const put = (fields: readonly RawField[]) => putTogether({ ...raw, fields })
  return Object.entries(sample.table[sample.message.kind]!.fields).flatMap(([name, field]) => {
    const at = raw.fields.findIndex(({ number }) => number === field.number)
    const own = raw.fields[at]!
    const instead = (change: Partial<RawField>) => put(raw.fields.with(at, { ...own, ...change }))
    const mutations = [
      ...(field.presence === 'required' ? [['lacking', put(raw.fields.toSpliced(at, 1))] as const] : []),
      ...(field.presence === 'repeated' ? [] : [['twice', put([...raw.fields, own])] as const]),
      ...OTHER_TYPES.filter(({ wireType }) => wireType !== own.wireType).map(
        (other) => [`of wire type ${other.wireType}`, instead(other)] as const,
      ),
      ...outOfRange(field, own.value).map((value, i) => [`out of range (${i})`, instead({ value })] as const),
    ]
    return mutations.map(([what, bytes]) => ({ what: `"${name}" ${what}`, field: name, bytes }))
  })
}
