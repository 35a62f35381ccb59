import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { RunningServer } from '../../server/serve.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import { spansOf } from '../values/span.ts'
import type { Cleanup } from '../process/cleanup.ts'

/** The metrics endpoint of a server. */
export interface ServerMetrics {
  /** Null if no metrics were asked for. */
  readonly port: number | null
  /** libp2p's metrics, an option of the node. */
  readonly ofLibp2p: Libp2pMetrics | undefined
  /** Makes the endpoint report on this server and its node from now on. */
  watch(running: RunningServer, node: SwarmNode): void
}

/**
 * Opens the metrics endpoint, if it was asked for. Done before the long loading, so that a port in use is reported at
 * once.
 */
export async function openMetrics(
  { metricsPort, metricsHost }: { readonly metricsPort: number | undefined; readonly metricsHost: string },
  cleanup: Cleanup,
): Promise<ServerMetrics> {
  if (metricsPort === undefined) return { port: null, ofLibp2p: undefined, watch: () => undefined }
  const { createMetrics, registerEngineMetrics, registerEventLoopMetric } = await import('../../api/metrics.ts')
  const { registerServerMetrics } = await import('../../api/server-metrics.ts')
  const { libp2pMetrics, registerSwarmMetrics } = await import('../../api/swarm-metrics.ts')
  const { startMetricsServer } = await import('../../api/metrics-server.ts')
  const registry = createMetrics()
  let watched: RunningServer | undefined
  let failed = false
  const health = () => ({
    state: watched?.announcer.state ?? 'JOINING',
    sessions: watched?.engine.numSessions ?? 0,
    alive: !failed,
    missing: spansOf(watched?.discovery.unserved() ?? []),
  })
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
    ofLibp2p: libp2pMetrics(registry),
    watch(running, node) {
      watched = running
      void running.failed.then(() => {
        failed = true
      })
      registerEngineMetrics(registry, running.keeper)
      registerServerMetrics(registry, running)
      registerSwarmMetrics(registry, node)
      cleanup.add(registerEventLoopMetric(registry))
    },
  }
}
