import type { GossipSub } from '@libp2p/gossipsub'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import type { PeerTarget } from '../address.ts'
import type { Connections } from '../connections.ts'
import type { RequestStream, ServedStream } from '../frames/frame-stream.ts'
import type { SwarmLogger } from '../logger.ts'
import type { RecordVerifier } from './record.ts'

type RecordRpc = 'info' | 'announce'

/**
 * The part of a swarm node that records/ uses; `SwarmNode` implements it. The interface stands here because node/
 * imports this room, and not the other way round.
 */
export interface RecordNode {
  readonly peerId: string
  readonly identity: PrivateKey
  readonly logger: SwarmLogger
  readonly verifier: RecordVerifier
  readonly connections: Pick<Connections, 'has' | 'contactOf' | 'dismiss' | 'onDisconnect'>
  readonly bootstrapPeers: readonly PeerTarget[]
  readonly isStarted: boolean
  /** Throws `SWARM_STATE` if the node is not started. */
  readonly libp2p: Pick<Libp2p<{ dht: KadDHT; pubsub: GossipSub }>, 'services' | 'contentRouting' | 'getPeers'>
  open<R extends RecordRpc>(peer: PeerTarget, rpc: R, options: { signal?: AbortSignal }): Promise<RequestStream<R>>
  handle<R extends RecordRpc>(rpc: R, handler: (stream: ServedStream<R>) => Promise<void>): Promise<void>
  unhandle(rpc: RecordRpc): Promise<void>
}
