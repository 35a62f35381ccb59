import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import type { Registry } from 'prom-client'
import type { Connections } from '../../swarm/connections.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import { RPCS } from '../../swarm/limits.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import type { RpcTraffic, Traffic } from '../../swarm/frames/traffic.ts'
import { type Reading, registerCounters, registerGauge, registerGauges } from './read-metrics.ts'

/** The part of a node that its metrics read. */
export type MeasuredNode = Pick<SwarmNode, 'numServedStreams'> & {
  readonly connections: Pick<Connections, 'numPeers'>
  readonly traffic: Traffic
}

/** Names of metrics that are not libp2p's. */
const OURS = /^(?:petals_|vllm:|http_)/

/**
 * Registers libp2p's own metrics: pass the result to `createSwarmNode`. The module behind it keeps its metrics once per
 * process, so the latest registry gets them; it also clears prom-client's global registry, which we do not use.
 */
export function libp2pMetrics(registry: Registry): Libp2pMetrics {
  const others = new Set(registry.getMetricsAsArray().map(({ name }) => name))
  return (components) => {
    // A node that is started again registers new metrics under the same names.
    for (const { name } of registry.getMetricsAsArray()) {
      if (!others.has(name) && !OURS.test(name)) registry.removeSingleMetric(name)
    }
    return prometheusMetrics({ registry, collectDefaultMetrics: false })(components)
  }
}

/** Metrics of peers and of the request protocols' traffic. Peer ids are never labels. */
export function registerSwarmMetrics(registry: Registry, node: MeasuredNode): void {
  const perRpc = (read: (traffic: RpcTraffic) => number): Reading[] =>
    RPCS.map((rpc) => ({ labels: { rpc }, value: read(node.traffic[rpc]) }))
  const perDirection = (sent: 'framesSent' | 'bytesSent', received: 'framesReceived' | 'bytesReceived'): Reading[] =>
    RPCS.flatMap((rpc) => [
      { labels: { rpc, direction: 'sent' }, value: node.traffic[rpc][sent] },
      { labels: { rpc, direction: 'received' }, value: node.traffic[rpc][received] },
    ])
  registerGauge(
    registry,
    'petals_swarm_peers',
    'Peers that this node is connected with',
    () => node.connections.numPeers,
  )
  registerGauges(registry, 'petals_swarm_served_streams', 'Streams that peers hold open here', ['rpc'], () =>
    Object.entries(node.numServedStreams).map(([rpc, value]) => ({ labels: { rpc }, value })),
  )
  registerCounters(registry, 'petals_swarm_frames_total', 'Frames sent and received', ['rpc', 'direction'], () =>
    perDirection('framesSent', 'framesReceived'),
  )
  registerCounters(
    registry,
    'petals_swarm_bytes_total',
    'Bytes of frames sent and received',
    ['rpc', 'direction'],
    () => perDirection('bytesSent', 'bytesReceived'),
  )
  registerCounters(
    registry,
    'petals_swarm_refused_streams_total',
    'Streams refused because their peer had too many',
    ['rpc'],
    () => perRpc(({ refused }) => refused),
  )
}
