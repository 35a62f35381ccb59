import { connect } from 'node:net'
import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { withDeadline } from '../deadline.ts'
import { SwarmError, cleanText } from '../errors.ts'
import type { RequestStream } from '../frames/frame-stream.ts'
import type { SwarmNode } from './node.ts'

/** How a peer sees this node. */
export interface ContactAnswer {
  /** The peer's petals-node version. */
  readonly version: string
  /** Round-trip time of the question, in milliseconds. */
  readonly roundTripMs: number
  /** How many milliseconds the peer's clock is ahead of ours, with an error of half the round trip. */
  readonly clockAheadMs: number
  /** Whether the peer could open a TCP connection to the port it was told; undefined if it was told none. */
  readonly reachable: boolean | undefined
}

const REQUEST_TIMEOUT_MS = 10_000
/** The time limit for dialling a peer back: long enough for TCP to send a dropped packet again once. */
const DIAL_BACK_TIMEOUT_MS = 3000

/**
 * Serves the rpc `contact`: tells our version and time, and whether the asking peer's port can be reached from here.
 * Dials only the host that the question came from, so that nobody can make this node connect to third parties.
 */
export async function serveContact(node: SwarmNode, version: string): Promise<void> {
  await node.handle('contact', async (stream) => {
    const request = await stream.receive({ timeoutMs: REQUEST_TIMEOUT_MS })
    if (request === null) return
    const { port, nowMs } = request
    if (nowMs !== undefined) node.clocks.observe(stream.remotePeer, nowMs - Date.now())
    const isReachable = port === undefined ? undefined : await dialBack(node, stream.remotePeer, port)
    await stream.send({ kind: 'contact', version, nowMs: Date.now(), isReachable })
  })
}

/**
 * Asks a peer how it sees this node and, if a port is given, whether it can connect back to it. Throws as
 * `SwarmNode.open`.
 */
export async function askContact(
  node: SwarmNode,
  peer: PeerTarget,
  port?: number,
  signal?: AbortSignal,
): Promise<ContactAnswer> {
  return await withDeadline(`contact with peer ${peer.peerId}`, REQUEST_TIMEOUT_MS, signal, async (signal) => {
    const stream = await node.open(peer, 'contact', { signal })
    try {
      const clock = await ask(stream, undefined, signal)
      await stream.end()
      node.clocks.observe(peer.peerId, clock.clockAheadMs)
      const reachable = port === undefined ? undefined : await askDialBack(node, peer, port, signal)
      return { ...clock, reachable }
    } catch (error) {
      stream.abort(new SwarmError('SWARM_STREAM_LOST', `the request failed: ${errorMessage(error)}`))
      throw error
    }
  })
}

async function askDialBack(node: SwarmNode, peer: PeerTarget, port: number, signal: AbortSignal): Promise<boolean> {
  const stream = await node.open(peer, 'contact', { signal })
  try {
    const { reachable } = await ask(stream, port, signal)
    return reachable === true
  } finally {
    await stream.end()
  }
}

/** One question on an open connection: the time of a dial would be mistaken for a difference of clocks. */
async function ask(
  stream: RequestStream<'contact'>,
  port: number | undefined,
  signal: AbortSignal,
): Promise<ContactAnswer> {
  const askedAt = Date.now()
  const began = performance.now()
  await stream.send({ kind: 'contact', port, nowMs: askedAt }, { signal })
  const answer = await stream.receive({ signal })
  const roundTripMs = performance.now() - began
  if (answer === null)
    throw new SwarmError('SWARM_FRAME', `peer ${stream.remotePeer} does not answer contact as this version does`)
  return {
    version: cleanText(answer.version, 32),
    roundTripMs,
    clockAheadMs: answer.nowMs - (askedAt + roundTripMs / 2),
    reachable: answer.isReachable,
  }
}

/**
 * Whether a TCP connection can be opened to `port` of the host that the peer is connected from; of no other, or
 * anybody could learn by us which ports of somebody are open.
 */
async function dialBack(node: SwarmNode, peerId: string, port: number): Promise<boolean> {
  const host = node.connections.contactOf(peerId)?.host
  if (host === undefined) return false
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host, port, timeout: DIAL_BACK_TIMEOUT_MS })
  socket.once('connect', () => resolve(true))
  socket.once('error', () => resolve(false))
  socket.once('timeout', () => resolve(false))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

/** The port that peers should connect back to: the first that this node announces; undefined if it does not listen. */
export function announcedPort(node: SwarmNode): number | undefined {
  const port = node.multiaddrs.map((address) => /\/tcp\/(\d+)/.exec(address)?.[1]).find((text) => text !== undefined)
  return port === undefined ? undefined : Number(port)
}
