import type { PeerTarget } from '../address.ts'
import type { RecordNode } from './record-node.ts'

/** The peers that a node is connected with; libp2p knows their addresses. */
export function connectedPeers(node: Pick<RecordNode, 'libp2p'>): PeerTarget[] {
  return node.libp2p.getPeers().map((peerId) => ({ peerId: peerId.toString(), multiaddrs: [] }))
}

/** `count` of the items at random, or all where there are no more. */
export function pickSome<T>(items: readonly T[], count: number): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ item }) => item)
}
