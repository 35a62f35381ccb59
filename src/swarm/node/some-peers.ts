import type { PeerTarget } from '../address.ts'
import type { Connections } from '../connections.ts'
import { pickSome } from '../records/pick-peers.ts'
import type { SwarmNode } from './node.ts'

const CONNECT_TIMEOUT_MS = 3000

/**
 * Up to `count` of these peers, chosen at random. Those that are not connected are dialled meanwhile, so that the round
 * trips to them will be known.
 */
export function somePeers<T extends PeerTarget>(
  node: Pick<SwarmNode, 'dial'> & { readonly connections: Pick<Connections, 'has'> },
  peers: readonly T[],
  count: number,
): T[] {
  const chosen = pickSome(peers, count)
  for (const peer of chosen) {
    if (node.connections.has(peer.peerId)) continue
    void node.dial(peer, { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) }).catch(() => undefined)
  }
  return chosen
}
