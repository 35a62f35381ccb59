import { gossipsub, StrictNoSign, type GossipSub } from '@libp2p/gossipsub'
import { identify, type Identify } from '@libp2p/identify'
import type { ComponentLogger, Libp2p, Metrics, PrivateKey } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { VERSION } from '../../base/version.ts'
import { isLoopbackOnly } from '../address.ts'
import { RECORD_NAMESPACE, recordValidator, selectRecord } from '../records/dht-records.ts'
import { BoundedDatastore } from '../guards/bounded-datastore.ts'
import { joiningWrites } from '../guards/joined-writes.ts'
import { cachedKeyCrypto } from '../guards/noise-crypto.ts'
import { privateNetwork } from '../guards/private-network.ts'
import { guardedYamux } from '../guards/yamux.ts'
import { MAX_RECORD_BYTES, STREAM_WINDOW_BYTES } from '../limits.ts'
import type { RecordVerifier } from '../records/record.ts'

export type SwarmServices = { identify: Identify; ping: Ping; dht: KadDHT; pubsub: GossipSub }
export type SwarmLibp2p = Libp2p<SwarmServices>

/** Makes libp2p's own metrics; `@libp2p/prometheus-metrics` is such a function. */
export type Libp2pMetrics = (components: { logger: ComponentLogger }) => Metrics

export interface Libp2pOptions {
  identity: PrivateKey
  listen: readonly string[]
  announce: readonly string[]
  verifier: RecordVerifier
  swarmKey: Uint8Array | undefined
  metrics: Libp2pMetrics | undefined
}

/** A node that is not started yet. Every number differs from libp2p's default for the reason beside it. */
export async function buildLibp2p({
  identity,
  listen,
  announce,
  verifier,
  swarmKey,
  metrics,
}: Libp2pOptions): Promise<SwarmLibp2p> {
  return await createLibp2p({
    start: false,
    privateKey: identity,
    nodeInfo: { name: 'petals-node', version: VERSION, userAgent: `petals-node/${VERSION}` },
    ...(metrics !== undefined && { metrics }),
    ...(swarmKey !== undefined && { connectionProtector: privateNetwork(swarmKey) }),
    datastore: new BoundedDatastore(),
    addresses: { listen: [...listen], announce: [...announce] },
    transports: [tcp()],
    connectionEncrypters: [joiningWrites(noise({ crypto: cachedKeyCrypto() }))],
    streamMuxers: [
      guardedYamux({
        // A paused stream may still receive a whole window, which the read buffer has to hold.
        streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES, maxReadBufferLength: 2 * STREAM_WINDOW_BYTES },
        maxInboundStreams: 1024,
        maxOutboundStreams: 2048,
      }),
    ],
    connectionMonitor: {
      // A vanished host is noticed in 9 s and not 15; above the longest time that an honest peer's event loop blocks.
      pingInterval: 2000,
      pingTimeout: { minTimeout: 5000, maxTimeout: 10_000 },
      // Under ping's own protocol the monitor and other pings overrun its limit of one stream and lose the connection.
      protocolPrefix: 'pn-alive',
    },
    connectionManager: {
      maxConnections: 1000,
      // Containers and peers behind one NAT share an address and start together.
      inboundConnectionThreshold: 100,
      // Ten silent sockets would shut the node for the time of an upgrade.
      maxIncomingPendingConnections: 256,
      inboundUpgradeTimeout: 5000,
      // Addresses are tried one after another: a dead one must not use up the whole dial. A busy machine takes seconds
      // for twenty handshakes at once.
      addressDialTimeout: 5000,
      dialTimeout: 9000,
      // Exempts a swarm on one machine from the limits per address above.
      allow: isLoopbackOnly([...listen, ...announce]) ? ['/ip4/127.0.0.1/ipcidr/8'] : [],
    },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/petals-node/kad/1.0.0',
        // Who cannot be dialled is no place to store anything.
        clientMode: listen.length === 0 && announce.length === 0,
        // Private addresses are good ones on a LAN.
        peerInfoMapper: passthroughMapper,
        initialQuerySelfInterval: 50,
        // A lone first node must not wait for a peer for ever.
        allowQueryWithZeroPeers: true,
        validators: { [RECORD_NAMESPACE]: recordValidator(verifier) },
        selectors: { [RECORD_NAMESPACE]: selectRecord },
      }),
      pubsub: gossipsub({
        // Records carry their owner's signature.
        globalSignaturePolicy: StrictNoSign,
        maxInboundDataLength: 2 * MAX_RECORD_BYTES,
      }),
    },
  })
}
