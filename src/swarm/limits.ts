import { PROTOCOL_SUFFIX } from './protocol-version.ts'

/** The request protocols (rpcs). Each is a libp2p protocol with one frame stream per request or session. */
export const RPCS = [
  'info',
  'announce',
  'inference',
  'control',
  'push',
  'forward',
  'probe',
  'backward',
  'contact',
  'adapter',
] as const

/** A protocol of this node, by its name. */
export type Rpc = (typeof RPCS)[number]

/** What one peer may take of this node by one protocol. */
export interface RpcLimits {
  /** Streams that a peer may have open here, counted over all its connections. */
  readonly maxStreams: number
  /** The longest frame header. */
  readonly headerBytes: number
  /** The most bytes of all tensors of a frame together. */
  readonly payloadBytes: number
  /** How many bytes of received frames may wait for a reader before the stream is paused. */
  readonly queueBytes: number
}

const KIB = 1024
const MIB = 1024 * KIB

/** The longest header of any protocol; long lists of records are spread over several frames. */
export const MAX_HEADER_BYTES = 64 * KIB

/** Limits of protocols whose frames have no tensors and are short and few. */
const HEADER_ONLY: RpcLimits = { maxStreams: 16, headerBytes: MAX_HEADER_BYTES, payloadBytes: 0, queueBytes: MIB }

/**
 * The limits of each protocol. Inference: a prefill chunk of 1024 tokens of the widest models (16384) in float32 is 64
 * MiB. Forward and backward passes send whole batches at once; a backward pass sends as much again for the gradient.
 * There are many streams of sessions, nearly idle, and few of passes, with large frames.
 */
export const RPC_LIMITS: Readonly<Record<Rpc, RpcLimits>> = {
  info: HEADER_ONLY,
  announce: HEADER_ONLY,
  inference: { maxStreams: 256, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  control: { ...HEADER_ONLY, maxStreams: 256 },
  push: { maxStreams: 256, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  forward: { maxStreams: 32, headerBytes: MAX_HEADER_BYTES, payloadBytes: 256 * MIB, queueBytes: 8 * MIB },
  backward: { maxStreams: 32, headerBytes: MAX_HEADER_BYTES, payloadBytes: 256 * MIB, queueBytes: 8 * MIB },
  adapter: { maxStreams: 4, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  contact: { ...HEADER_ONLY, maxStreams: 2 },
  probe: { maxStreams: 8, headerBytes: MAX_HEADER_BYTES, payloadBytes: 4 * MIB, queueBytes: 4 * MIB },
}

/** The most connections that one peer may have with this node. */
export const MAX_PEER_CONNECTIONS = 8

/** Memory that one peer's requests may hold: four prefill messages of the widest models, or a whole forward pass. */
export const DEFAULT_PEER_BYTES = 256 * MIB

/** Messages per second that are read from one peer: more than sessions need, and what they take is part of a core. */
export const DEFAULT_REQUESTS_PER_SECOND = 5000

/** The most streams that all peers together may have open here. */
export const MAX_SERVED_STREAMS = 4096

/** The most streams that this node opens to one peer by one protocol. */
export const MAX_OUTBOUND_STREAMS = 1024

/**
 * The receive window of a stream: enough for 10 MB/s over 80 ms, and small enough that short steps overtake bulk data
 * on the same connection.
 */
export const STREAM_WINDOW_BYTES = MIB

/** Frames up to this size are copied into one buffer: one encrypted packet and fewer system calls. */
export const JOIN_BYTES = 64 * KIB

/** The largest record: it must fit a header together with the header's other fields. */
export const MAX_RECORD_BYTES = 60 * KIB

/** How long a peer may accept none of our bytes before the stream counts as lost. */
export const WRITE_STALL_MS = 30_000

/** How long the rest of a frame is waited for, besides what its bytes take at the slowest rate that is waited for. */
export const FRAME_STALL_MS = 30_000
export const FRAME_BYTES_PER_SECOND = 64 * KIB

/** How long a frame may wait for room in its peer's budget before its stream is refused. */
export const ROOM_WAIT_MS = 60_000

/** The time limit for opening a stream: dialling, encryption, muxer and protocol negotiation. */
export const OPEN_TIMEOUT_MS = 10_000

/** The name of an rpc's libp2p protocol. */
export function protocolId(rpc: Rpc): string {
  return `/petals-node/${rpc}/${PROTOCOL_SUFFIX}`
}
