import { PROTOCOL_SUFFIX } from './protocol-version.ts'

/** The request protocols; each is one libp2p protocol with one frame stream per request or session. */
export const RPCS = ['info', 'announce', 'inference', 'push', 'forward', 'probe', 'contact', 'adapter'] as const

export type Rpc = (typeof RPCS)[number]

/** What one peer may cost this node by one protocol. */
export interface RpcLimits {
  /** Streams that one peer may hold open here, over all its connections. */
  readonly maxStreams: number
  /** The largest frame header. */
  readonly headerBytes: number
  /** The largest sum of a frame's tensors. */
  readonly payloadBytes: number
  /** Received frames that may wait for their reader before the stream is paused. */
  readonly queueBytes: number
}

const KIB = 1024
const MIB = 1024 * KIB

/** Larger than any header that the protocols need; lists of records are spread over several frames. */
export const MAX_HEADER_BYTES = 64 * KIB

/** Protocols that carry only headers: small, short, and few at a time. */
const HEADER_ONLY: RpcLimits = { maxStreams: 16, headerBytes: MAX_HEADER_BYTES, payloadBytes: 0, queueBytes: MIB }

/**
 * Inference: a prefill chunk of 1024 tokens of the widest models (16384) in float32 is 64 MiB. A forward pass sends
 * whole batches at once. Streams of sessions are many and nearly idle, those of forward passes few and heavy.
 */
export const RPC_LIMITS: Readonly<Record<Rpc, RpcLimits>> = {
  info: HEADER_ONLY,
  announce: HEADER_ONLY,
  inference: { maxStreams: 256, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  push: { maxStreams: 256, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  forward: { maxStreams: 32, headerBytes: MAX_HEADER_BYTES, payloadBytes: 256 * MIB, queueBytes: 8 * MIB },
  adapter: { maxStreams: 4, headerBytes: MAX_HEADER_BYTES, payloadBytes: 64 * MIB, queueBytes: 8 * MIB },
  contact: { ...HEADER_ONLY, maxStreams: 2 },
  probe: { maxStreams: 8, headerBytes: MAX_HEADER_BYTES, payloadBytes: 4 * MIB, queueBytes: 4 * MIB },
}

/** Streams that this node may open to one peer by one protocol. */
export const MAX_OUTBOUND_STREAMS = 1024

/** A receive window per stream: 10 MB/s over 80 ms, and small steps still overtake bulk on the same connection. */
export const STREAM_WINDOW_BYTES = MIB

/** A frame up to this size is joined into one buffer: one encrypted packet, fewer system calls. */
export const JOIN_BYTES = 64 * KIB

/** A record must fit a header together with the header's other fields. */
export const MAX_RECORD_BYTES = 60 * KIB

/** How long a peer may take none of our bytes before the stream counts as lost. */
export const WRITE_STALL_MS = 30_000

/** Dial, encryption, muxer and protocol negotiation of one new stream. */
export const OPEN_TIMEOUT_MS = 10_000

/** The libp2p protocol of an rpc. */
export function protocolId(rpc: Rpc): string {
  return `/petals-node/${rpc}/${PROTOCOL_SUFFIX}`
}
