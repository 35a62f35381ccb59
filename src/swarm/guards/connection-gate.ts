import type { ConnectionGater } from '@libp2p/interface'
import { MAX_PEER_CONNECTIONS } from '../limits.ts'

/** What the gate asks of the node. */
export interface GateModules {
  readonly isBlocked: (peerId: string) => boolean
  /** Connections that a peer has with this node. */
  readonly numConnections: (peerId: string) => number
}

/**
 * Who may connect: no blocked peer, and each only so often. An honest peer has one connection, or two where both
 * dialled at once; without a bound one identity could take all the connections that a node has for everybody.
 */
export function connectionGate({ isBlocked, numConnections }: GateModules): ConnectionGater {
  return {
    denyDialPeer: (peerId) => isBlocked(peerId.toString()),
    denyInboundEncryptedConnection: (peerId) =>
      isBlocked(peerId.toString()) || numConnections(peerId.toString()) >= MAX_PEER_CONNECTIONS,
  }
}
