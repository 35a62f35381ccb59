import type { Registry } from 'prom-client'
import type { Health } from '../../api/metrics-server.ts'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { metricsOptions } from '../options/server-options.ts'
import type { Cleanup } from './cleanup.ts'

/** A process's HTTP endpoint for /metrics, /health and /ready. */
export interface MetricsEndpoint {
  readonly port: number
  /** What it serves; more may be registered. */
  readonly registry: Registry
  /** libp2p's metrics, an option of the node. */
  readonly ofLibp2p: Libp2pMetrics
  /** Reports on this node from now on. */
  watchNode(node: SwarmNode): void
}

/**
 * Opens the endpoint, if it was asked for. To be done before anything that takes long, so that a port in use is
 * reported at once. Throws `METRICS_LISTEN`.
 */
export async function openMetricsEndpoint(
  { metricsPort, metricsHost }: OptionValues<typeof metricsOptions>,
  health: () => Health,
  cleanup: Cleanup,
): Promise<MetricsEndpoint | undefined> {
  if (metricsPort === undefined) return undefined
  const { createMetrics, registerEventLoopMetric } = await import('../../api/metrics.ts')
  const { libp2pMetrics, registerSwarmMetrics } = await import('../../api/swarm-metrics.ts')
  const { startMetricsServer } = await import('../../api/metrics-server.ts')
  const registry = createMetrics()
  const server = await startMetricsServer({ registry, health }, { host: metricsHost, port: metricsPort }).catch(
    (error: unknown) => {
      if (errorCode(error) !== 'METRICS_LISTEN') throw error
      throw new PetalsError('METRICS_LISTEN', `--metrics-port, --metrics-host: ${errorMessage(error)}`, {
        cause: error,
      })
    },
  )
  cleanup.add(() => server.stop())
  return {
    port: server.port,
    registry,
    ofLibp2p: libp2pMetrics(registry),
    watchNode(node) {
      registerSwarmMetrics(registry, node)
      cleanup.add(registerEventLoopMetric(registry))
    },
  }
}
