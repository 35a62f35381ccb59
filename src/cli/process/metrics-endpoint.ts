import type { Registry } from 'prom-client'
import type { Health, MetricsServerModules } from '../../api/metrics/metrics-server.ts'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { metricsOptions } from '../options/tables/server-options.ts'
import type { Cleanup } from './cleanup.ts'

/** The metrics of a process, and the HTTP endpoint for /metrics, /health and /ready. */
export interface MetricsEndpoint {
  /** Null if there is no endpoint, and metrics are read elsewhere. */
  readonly port: number | null
  /** What there is to read; more may be registered. */
  readonly registry: Registry
  /** libp2p's metrics, an option of the node. */
  readonly ofLibp2p: Libp2pMetrics
  /** Reports on this node from now on. */
  watchNode(node: SwarmNode): void
}

/**
 * Opens the endpoint, if it was asked for. To be done before anything that takes long, so that a port in use is
 * reported at once. Without it there are metrics only if they are `readElsewhere`. Throws `METRICS_LISTEN`.
 */
export async function openMetricsEndpoint(
  values: OptionValues<typeof metricsOptions>,
  health: () => Health,
  cleanup: Cleanup,
  { readElsewhere = false }: { readonly readElsewhere?: boolean } = {},
): Promise<MetricsEndpoint | undefined> {
  if (values.metricsPort === undefined && !readElsewhere) return undefined
  const { createMetrics, registerEventLoopMetric } = await import('../../api/metrics/metrics.ts')
  const { libp2pMetrics, registerSwarmMetrics } = await import('../../api/metrics/swarm-metrics.ts')
  const registry = createMetrics()
  return {
    port: await listen(values, { registry, health }, cleanup),
    registry,
    ofLibp2p: libp2pMetrics(registry),
    watchNode(node) {
      registerSwarmMetrics(registry, node)
      cleanup.add(registerEventLoopMetric(registry))
    },
  }
}

async function listen(
  { metricsPort, metricsHost }: OptionValues<typeof metricsOptions>,
  modules: MetricsServerModules,
  cleanup: Cleanup,
): Promise<number | null> {
  if (metricsPort === undefined) return null
  const { startMetricsServer } = await import('../../api/metrics/metrics-server.ts')
  const server = await startMetricsServer(modules, { host: metricsHost, port: metricsPort }).catch((error: unknown) => {
    if (errorCode(error) !== 'METRICS_LISTEN') throw error
    throw new PetalsError('METRICS_LISTEN', `--metrics-port, --metrics-host: ${errorMessage(error)}`, { cause: error })
  })
  cleanup.add(() => server.stop())
  return server.port
}
