import { gossipsub, StrictNoSign, type GossipSub } from '@libp2p/gossipsub'
import { identify, type Identify } from '@libp2p/identify'
import type { ComponentLogger, ConnectionGater, Libp2p, Metrics, PrivateKey } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping, type Ping } from '@libp2p/ping'
import { tcp, type TCPSocketOptions } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { VERSION } from '../../base/version.ts'
import { isLoopbackOnly } from '../address.ts'
import { RECORD_NAMESPACE, recordValidator, selectRecord } from '../records/dht-records.ts'
import type { DialGuard } from '../guards/dial-guard.ts'
import { BoundedDatastore } from '../guards/bounded-datastore.ts'
import { joiningWrites } from '../guards/joined-writes.ts'
import { rememberProtocols } from '../guards/known-protocols.ts'
import { cachedKeyCrypto } from '../guards/noise-crypto.ts'
import { privateNetwork } from '../guards/private-network.ts'
import { SILENT_LOGGER } from '../guards/silent-logger.ts'
import { guardedYamux } from '../guards/yamux.ts'
import { MAX_RECORD_BYTES, STREAM_WINDOW_BYTES } from '../limits.ts'
import type { RecordVerifier } from '../records/record.ts'

/** What runs on libp2p. */
export type SwarmServices = { identify: Identify; ping: Ping; dht: KadDHT; pubsub: GossipSub }
/** libp2p with these services. */
export type SwarmLibp2p = Libp2p<SwarmServices>

/** Creates libp2p's metrics; `@libp2p/prometheus-metrics` is such a function. */
export type Libp2pMetrics = (components: { logger: ComponentLogger }) => Metrics

export interface Libp2pOptions {
  identity: PrivateKey
  listen: readonly string[]
  announce: readonly string[]
  verifier: RecordVerifier
  guard: DialGuard
  swarmKey: Uint8Array | undefined
  gate: ConnectionGater
  metrics: Libp2pMetrics | undefined
}

/**
 * Builds a libp2p node without starting it. The reason for each number that differs from libp2p's default is beside it.
 */
export async function buildLibp2p({
  identity,
  listen,
  announce,
  verifier,
  guard,
  swarmKey,
  gate,
  metrics,
}: Libp2pOptions): Promise<SwarmLibp2p> {
  const libp2p = await createLibp2p({
    start: false,
    privateKey: identity,
    nodeInfo: { name: 'petals-node', version: VERSION, userAgent: `petals-node/${VERSION}` },
    // Whoever looks for a fault in libp2p sets its variable.
    ...(process.env['DEBUG'] === undefined && { logger: SILENT_LOGGER }),
    ...(metrics !== undefined && { metrics }),
    ...(swarmKey !== undefined && { connectionProtector: privateNetwork(swarmKey) }),
    datastore: new BoundedDatastore(),
    addresses: { listen: [...listen], announce: [...announce] },
    // Passed on to each socket that is opened; libp2p's type of the options does not have it.
    transports: [tcp({ dialOpts: { lookup: guard.lookup } as TCPSocketOptions })],
    connectionGater: { ...gate, denyDialMultiaddr: (address) => !guard.admits(address) },
    connectionEncrypters: [joiningWrites(noise({ crypto: cachedKeyCrypto() }))],
    streamMuxers: [
      guardedYamux({
        // A paused stream may still receive a whole window, which its read buffer must hold.
        streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES, maxReadBufferLength: 2 * STREAM_WINDOW_BYTES },
        maxInboundStreams: 1024,
        maxOutboundStreams: 2048,
      }),
    ],
    connectionMonitor: {
      // A vanished host is noticed after 9 s instead of 15; still longer than an honest peer's event loop blocks.
      pingInterval: 2000,
      pingTimeout: { minTimeout: 5000, maxTimeout: 10_000 },
      // A protocol of its own: other pings would exceed the limit of one ping stream, and the monitor would drop the
      // connection.
      protocolPrefix: 'pn-alive',
    },
    connectionManager: {
      maxConnections: 1000,
      // Containers and peers behind one NAT share an address and may start together.
      inboundConnectionThreshold: 100,
      // With a low limit, ten silent sockets would keep others out for the time of an upgrade.
      maxIncomingPendingConnections: 256,
      inboundUpgradeTimeout: 5000,
      // Addresses are tried one after another, so a dead one must not use up the whole dial. Twenty handshakes at once
      // take seconds on a busy machine.
      addressDialTimeout: 5000,
      dialTimeout: 9000,
      // A swarm on one machine is exempt from the limits per address above.
      allow: isLoopbackOnly([...listen, ...announce]) ? ['/ip4/127.0.0.1/ipcidr/8'] : [],
    },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/petals-node/kad/1.0.0',
        // A node that cannot be dialled must not store anything for others.
        clientMode: listen.length === 0 && announce.length === 0,
        // Private addresses are kept: on a LAN they are the right ones.
        peerInfoMapper: passthroughMapper,
        initialQuerySelfInterval: 50,
        // The first node of a swarm must not wait for peers for ever.
        allowQueryWithZeroPeers: true,
        validators: { [RECORD_NAMESPACE]: recordValidator(verifier) },
        selectors: { [RECORD_NAMESPACE]: selectRecord },
      }),
      pubsub: gossipsub({
        // Messages are not signed: records carry their owner's signature.
        globalSignaturePolicy: StrictNoSign,
        maxInboundDataLength: 2 * MAX_RECORD_BYTES,
      }),
    },
  })
  rememberProtocols(libp2p.peerStore)
  return libp2p
}
