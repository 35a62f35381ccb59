import { parseSchema } from '../../base/protobuf.ts'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'

/** `optional` tells an explicit zero from nothing: step 0 is a step. */
const SCHEMA = `
syntax = "proto3";
message TensorMeta { string dtype = 1; repeated uint32 shape = 2; }
message Fault { string code = 1; string message = 2; }
message Hop { string peerId = 1; repeated string multiaddrs = 2; string sessionId = 3; }
message Open {
  string modelKey = 1; uint32 start = 2; uint32 end = 3; uint32 maxLength = 4; uint32 allocTimeoutMs = 5;
}
message Header {
  string kind = 1; optional string sessionId = 2; optional uint32 epoch = 3; optional uint32 step = 4;
  optional uint32 position = 5; optional uint32 until = 6;
  repeated TensorMeta tensors = 7; Fault fault = 8; Open open = 9; Hop next = 10; repeated bytes records = 11;
  optional string modelKey = 12; optional string version = 13; optional bool push = 14; optional uint32 start = 15;
  optional uint32 end = 16; map<string, double> numbers = 17; optional string trace = 18; optional string protocol = 19;
  optional string adapter = 20;
}`

export interface TensorMeta {
  dtype: string
  shape: readonly number[]
}
export interface Fault {
  code: string
  message: string
}
/** The next server of a push chain, and the session's name there. */
export interface Hop {
  peerId: string
  multiaddrs: string[]
  sessionId: string
}
/** Opens a session on blocks `start` to `end`. */
export interface Open {
  modelKey: string
  start: number
  end: number
  maxLength: number
  allocTimeoutMs: number
}

/** What a frame says beside its tensors. A field that is absent on the wire is absent here. */
export interface FrameHeader {
  kind: string
  sessionId?: string
  epoch?: number
  step?: number
  position?: number
  until?: number
  fault?: Fault
  open?: Open
  next?: Hop
  records?: Uint8Array[]
  modelKey?: string
  version?: string
  /** The version of the protocol that the sender speaks. */
  protocol?: string
  /** Names a request in the logs of all nodes that it passes; says nothing else. */
  trace?: string
  /** The adapter that a request goes through, or what is said of one. */
  adapter?: string
  push?: boolean
  start?: number
  end?: number
  numbers?: Record<string, number>
}

type RawHeader = FrameHeader & { tensors: TensorMeta[] }

const headerType = parseSchema(SCHEMA).lookupType('Header')
const MAX_KIND_CHARS = 32
const UINT32_FIELDS = ['epoch', 'step', 'position', 'until', 'start', 'end'] as const

/** Throws `SWARM_FRAME` for numbers that a uint32 cannot hold: protobuf would wrap them silently. */
export function encodeHeader(header: FrameHeader, tensors: readonly TensorMeta[]): Uint8Array {
  for (const field of UINT32_FIELDS) checkUint32(field, header[field])
  if (header.open !== undefined) {
    for (const field of ['start', 'end', 'maxLength', 'allocTimeoutMs'] as const) checkUint32(field, header.open[field])
  }
  return headerType.encode({ ...header, tensors }).finish()
}

function checkUint32(field: string, value: number | undefined): void {
  if (value === undefined || value >>> 0 === value) return
  throw new SwarmError('SWARM_FRAME', `${field} = ${value} in a frame is not an integer from 0 to ${0xffffffff}`)
}

/** Throws `SWARM_FRAME`. The result shares no memory with `bytes`. */
export function decodeHeader(bytes: Uint8Array): { header: FrameHeader; tensors: TensorMeta[] } {
  let raw: RawHeader
  try {
    raw = headerType.decode(bytes) as unknown as RawHeader
  } catch (error) {
    throw new SwarmError('SWARM_FRAME', `a frame header does not parse: ${errorMessage(error)}`, { cause: error })
  }
  if (raw.kind === '' || raw.kind.length > MAX_KIND_CHARS)
    throw new SwarmError('SWARM_FRAME', 'a frame header has no proper kind')
  // Only own fields: those that are absent on the wire have their defaults on the prototype.
  const { tensors, records, numbers, fault, open, next, ...plain } = raw
  const header: FrameHeader = { ...plain }
  if (records !== undefined && records.length > 0) header.records = records.map((record) => Uint8Array.from(record))
  if (numbers !== undefined && Object.keys(numbers).length > 0) header.numbers = { ...numbers }
  if (fault) header.fault = { code: fault.code, message: fault.message }
  if (next) header.next = { peerId: next.peerId, multiaddrs: [...next.multiaddrs], sessionId: next.sessionId }
  if (open) {
    const { modelKey, start, end, maxLength, allocTimeoutMs } = open
    header.open = { modelKey, start, end, maxLength, allocTimeoutMs }
  }
  return { header, tensors }
}
