import type { Peer, PeerData, PeerStore } from '@libp2p/interface'
import { sharedTurns } from '../../base/shared-turns.ts'

/** How long it is not written down again that a peer speaks a protocol. */
const KNOWN_MS = 60_000

/** The most peers that are remembered; beyond, all are forgotten, to be written down again. */
const MAX_PEERS = 1024

interface Known {
  readonly peer: Peer
  readonly until: number
}

/**
 * Has libp2p write down once what it writes for each stream: that the peer speaks the stream's protocol. It reads,
 * merges and encodes all that is known of the peer for that, which is much of what it takes to open a session. Streams
 * whose answers come together go on one after another, where turns of the event loop have time for them. Whatever may
 * take a protocol away again has it written anew.
 */
export function rememberProtocols(peerStore: PeerStore, now: () => number = () => performance.now()): void {
  /** By peer and protocol. */
  const known = new Map<string, Map<string, Known>>()
  const merge = peerStore.merge.bind(peerStore)
  peerStore.merge = async (peerId, data, options) => {
    const protocol = onlyProtocol(data)
    if (protocol === undefined) return merge(peerId, data, options)
    await sharedTurns.next()
    const key = peerId.toString()
    const found = known.get(key)?.get(protocol)
    if (found !== undefined && found.until > now()) return found.peer
    if (known.size >= MAX_PEERS) known.clear()
    const ofPeer = known.get(key) ?? new Map<string, Known>()
    known.set(key, ofPeer)
    const peer = await merge(peerId, data, options)
    ofPeer.set(protocol, { peer, until: now() + KNOWN_MS })
    return peer
  }
  const { save, patch, delete: remove } = peerStore
  peerStore.save = (peerId, ...given) => {
    known.delete(peerId.toString())
    return save.call(peerStore, peerId, ...given)
  }
  peerStore.patch = (peerId, ...given) => {
    known.delete(peerId.toString())
    return patch.call(peerStore, peerId, ...given)
  }
  peerStore.delete = (peerId, ...given) => {
    known.delete(peerId.toString())
    return remove.call(peerStore, peerId, ...given)
  }
}

/** The protocol, where nothing else is to be written. */
function onlyProtocol(data: PeerData): string | undefined {
  const { protocols, ...others } = data
  return protocols?.length === 1 && Object.keys(others).length === 0 ? protocols[0] : undefined
}
