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

/** Private members of yamux's muxer and streams; there is no public access to them. */
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

/**
 * Values of yamux's `StreamState`: in these opening states the first window update also carries the SYN or ACK flag.
 */
const STATE_INIT = 0
const STATE_SYN_RECEIVED = 2

const FRAME_HEADER_BYTES = 12
const DATA_FRAME = 0

/**
 * yamux with the two guards below on every muxer. `streamOptions.maxStreamWindowSize` is the largest data frame that is
 * accepted.
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
 * Limits data frames to `maxFrameBytes`. yamux itself collects a whole frame, of up to 4 GB by its header, before it
 * compares it with the receive window, so any peer could fill the memory. An honest frame is never larger than the
 * window; the header of a larger one ends the connection before its data are kept.
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
 * Delays window updates until half of the window is used. yamux itself answers each data frame with one, which costs an
 * encrypted packet, two system calls and a wake-up of the peer per decode step; the peer needs one only when its window
 * runs low.
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

/** The muxer's private members. Throws if a release of yamux has changed them, instead of running without guards. */
function internals(muxer: Muxer): MuxerInternals {
  const internal = muxer as unknown as MuxerInternals
  if (typeof internal.decoder?.readFrame !== 'function' || typeof internal._newStream !== 'function') {
    throw new TypeError('this release of @libp2p/yamux has other internals than the guards know: use ^8.0.3')
  }
  return internal
}
