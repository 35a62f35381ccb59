/*
 * guards/: what libp2p's own parts lack against hostile or merely unlucky peers: bounds on what others make this node
 * keep, a private network that takes any message, and cryptography that does not cost a decode step its time. It stands
 * on nothing of the swarm but its errors.
 */
import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface'
import { yamux, type YamuxMuxerInit } from '@libp2p/yamux'
import type { Uint8ArrayList } from 'uint8arraylist'
import { SwarmError } from '../errors.ts'

type Muxer = ReturnType<StreamMuxerFactory['createStreamMuxer']>

/** The parts of yamux's muxer and stream that are private there, and have no other way in. */
interface MuxerInternals {
  decoder: { buffer: Uint8ArrayList; readFrame: () => unknown }
  _newStream: (...args: unknown[]) => StreamInternals
}

interface StreamInternals {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate: () => void
}

/** yamux's `StreamState`: opening states whose first window update also carries the SYN or ACK flag. */
const STATE_INIT = 0
const STATE_SYN_RECEIVED = 2

const FRAME_HEADER_BYTES = 12
const DATA_FRAME = 0

/**
 * yamux with the two guards below on every muxer. `streamOptions.maxStreamWindowSize` is the largest frame accepted.
 */
export function guardedYamux(
  init: YamuxMuxerInit & { streamOptions: { maxStreamWindowSize: number } },
): () => StreamMuxerFactory {
  const create = yamux(init)
  return () => {
    const factory = create()
    const createMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection: MessageStream) => {
      const muxer = createMuxer(connection)
      guardFrames(muxer, init.streamOptions.maxStreamWindowSize)
      updateWindowsLazily(muxer)
      return muxer
    }
    return factory
  }
}

/**
 * yamux collects a data frame of up to 4 GB, as its header says, before it looks at the receive window, so any peer
 * could fill the memory. No honest frame is larger than a window: a larger header ends the connection before its data
 * is kept.
 */
export function guardFrames(muxer: Muxer, maxFrameBytes: number): void {
  const { decoder } = internals(muxer)
  const readFrame = decoder.readFrame.bind(decoder)
  decoder.readFrame = () => {
    const { buffer } = decoder
    if (buffer.byteLength >= FRAME_HEADER_BYTES && buffer.get(1) === DATA_FRAME) {
      const frameBytes = buffer.getUint32(8)
      if (frameBytes > maxFrameBytes) {
        throw new SwarmError(
          'SWARM_FRAME',
          `a yamux frame of ${frameBytes} bytes is over the window of ${maxFrameBytes}`,
        )
      }
    }
    return readFrame()
  }
}

/**
 * yamux answers each data frame with a window update: an encrypted packet, two system calls and a wake-up of the peer
 * per decode step. The peer needs one only when its window runs low, so an update waits until half the window is used.
 */
export function updateWindowsLazily(muxer: Muxer): void {
  const internal = internals(muxer)
  const newStream = internal._newStream.bind(muxer)
  internal._newStream = (...args) => {
    const stream = newStream(...args)
    const sendWindowUpdate = stream.sendWindowUpdate.bind(stream)
    stream.sendWindowUpdate = () => {
      const opening = stream.state === STATE_INIT || stream.state === STATE_SYN_RECEIVED
      if (!opening && stream.recvWindowCapacity * 2 > stream.recvWindow) return
      sendWindowUpdate()
    }
    return stream
  }
}

/** A yamux release that moved these parts must fail here and not run unguarded. */
function internals(muxer: Muxer): MuxerInternals {
  const internal = muxer as unknown as MuxerInternals
  if (typeof internal.decoder?.readFrame !== 'function' || typeof internal._newStream !== 'function') {
    throw new TypeError('this release of @libp2p/yamux has other internals than the guards know: use ^8.0.3')
  }
  return internal
}
