import { errorMessage } from '../../base/errors.ts'
import { parsePeerId, type PeerTarget } from '../address.ts'
import { SwarmError, cleanText } from '../errors.ts'
import type { SwarmLibp2p } from './libp2p.ts'
import { type Rpc, protocolId } from '../limits.ts'
import { PROTOCOL_SUFFIX, PROTOCOL_VERSION, mismatchText } from '../protocol-version.ts'
import { peerAt, placeOf, reasonOf } from './unreachable-text.ts'

/** Who dialled whom, and for what. */
export interface DialContext {
  readonly libp2p: SwarmLibp2p
  readonly peer: PeerTarget
  /** Undefined if only a connection was wanted. */
  readonly rpc: Rpc | undefined
  readonly hasSwarmKey: boolean
}

/** Turns the error of a failed dial into one of ours; other errors are returned as they are. */
export async function describeDialError(error: unknown, context: DialContext): Promise<unknown> {
  if (!(error instanceof Error) || error instanceof SwarmError) return error
  const { peer, rpc, hasSwarmKey } = context
  if (error.name === 'UnsupportedProtocolError' && rpc !== undefined) return unsupported(error, context, rpc)
  const other = otherPeer(error)
  if (other !== undefined) {
    const places = peer.multiaddrs.map(placeOf).join(', ')
    return new SwarmError(
      'SWARM_HANDSHAKE',
      `${places}: peer ${cleanText(other, 64)} answers there, not peer ${peer.peerId}: was its identity file lost, ` +
        'or the address given to another node? Name the peer that is there, if it is the right one',
      { cause: error },
    )
  }
  if (isHandshakeFailure(error)) {
    const guess = hasSwarmKey ? 'has it a different swarm key, or none' : 'is it of a private swarm (--swarm-key)'
    return new SwarmError(
      'SWARM_HANDSHAKE',
      `${peerAt(peer)} took the connection but not the handshake: ${guess}, or is it frozen? ` +
        `(${errorMessage(error)})`,
      { cause: error },
    )
  }
  return new SwarmError('SWARM_UNREACHABLE', `${peerAt(peer)} cannot be reached: ${reasonOf(error)}`, { cause: error })
}

/**
 * Whether an address answered but the handshake failed. libp2p reports each address's error in an AggregateError; one
 * failed handshake says more than other addresses that did not answer.
 */
function isHandshakeFailure(error: Error): boolean {
  if (error instanceof AggregateError)
    return error.errors.some((one) => one instanceof Error && isHandshakeFailure(one))
  return ['EncryptionFailedError', 'InvalidCryptoExchangeError'].includes(error.name)
}

/** The peer that answered in the place of the one that was dialled; undefined if that was not the matter. */
function otherPeer(error: Error): string | undefined {
  if (error instanceof AggregateError)
    return error.errors
      .map((one) => (one instanceof Error ? otherPeer(one) : undefined))
      .find((one) => one !== undefined)
  // libp2p keeps nothing but the text of noise's error.
  return /identity key (\S+) does not match expected remote identity/.exec(error.message)?.[1]
}

async function unsupported(error: Error, { libp2p, peer }: DialContext, rpc: Rpc): Promise<SwarmError> {
  const prefix = protocolId(rpc).slice(0, -PROTOCOL_SUFFIX.length)
  const known = await libp2p.peerStore.get(parsePeerId(peer.peerId)).catch(() => undefined)
  const other = known?.protocols.find((name) => name.startsWith(prefix))?.slice(prefix.length)
  if (other !== undefined && other !== PROTOCOL_SUFFIX) {
    return new SwarmError('SWARM_VERSION', mismatchText(peer.peerId, cleanText(other, 32)), { cause: error })
  }
  return new SwarmError('SWARM_PROTOCOL', `peer ${peer.peerId} does not serve ${rpc} ${PROTOCOL_VERSION}`, {
    cause: error,
  })
}
