import type { Registry } from 'prom-client'
import type { RunningServer } from '../../../server/serve.ts'
import type { Libp2pMetrics } from '../../../swarm/node/libp2p.ts'
import type { SwarmNode } from '../../../swarm/node/node.ts'
import type { apiPortOptions } from '../../options/tables/api-options.ts'
import type { OptionValues } from '../../options/option-table.ts'
import type { metricsOptions } from '../../options/tables/server-options.ts'
import type { Cleanup } from '../../process/cleanup.ts'
import { openMetricsEndpoint } from '../../process/metrics-endpoint.ts'
import { spansOf } from '../../../base/span.ts'

/** The metrics endpoint of a server. */
export interface ServerMetrics {
  /** Null if it was not asked for. */
  readonly port: number | null
  /** Undefined if nobody reads metrics. */
  readonly registry: Registry | undefined
  /** libp2p's metrics, an option of the node. */
  readonly ofLibp2p: Libp2pMetrics | undefined
  /** Makes the endpoint report on this server and its node from now on. */
  watch(running: RunningServer, node: SwarmNode): void
}

/** Opens the metrics endpoint, if it was asked for; the API has metrics as well. Throws as `openMetricsEndpoint`. */
export async function openMetrics(
  values: OptionValues<typeof metricsOptions & typeof apiPortOptions>,
  cleanup: Cleanup,
): Promise<ServerMetrics> {
  let watched: RunningServer | undefined
  let failed = false
  const health = () => ({
    state: watched?.announcer.state ?? 'JOINING',
    sessions: watched?.engine.numSessions ?? 0,
    alive: !failed,
    missing: spansOf(watched?.discovery.unserved() ?? []),
  })
  const endpoint = await openMetricsEndpoint(values, health, cleanup, { readElsewhere: values.apiPort !== undefined })
  if (endpoint === undefined) return { port: null, registry: undefined, ofLibp2p: undefined, watch: () => undefined }
  const { port, ofLibp2p, registry, watchNode } = endpoint
  const { registerEngineMetrics } = await import('../../../api/metrics/metrics.ts')
  const { registerServerMetrics } = await import('../../../api/metrics/server-metrics.ts')
  return {
    port,
    registry,
    ofLibp2p,
    watch(running, node) {
      watched = running
      void running.failed.then(() => {
        failed = true
      })
      registerEngineMetrics(registry, running.keeper)
      registerServerMetrics(registry, running)
      watchNode(node)
    },
  }
}
