import type { RunningServer } from '../../server/serve.ts'
import type { Cleanup } from '../cleanup.ts'

export interface ServerMetrics {
  /** Null where nobody asked for metrics. */
  readonly port: number | null
  /** From now on the endpoint tells of this server. */
  watch(running: RunningServer): void
}

/** Opens the endpoint, if there is to be one, before the long work of loading: a port in use is told at once. */
export async function openMetrics(
  { metricsPort, metricsHost }: { readonly metricsPort: number | undefined, readonly metricsHost: string }, cleanup: Cleanup,
): Promise<ServerMetrics> {
  if (metricsPort === undefined) return { port: null, watch: () => undefined }
  const { createMetrics, registerEngineMetrics, registerEventLoopMetric } = await import('../../api/metrics.ts')
  const { startMetricsServer } = await import('../../api/metrics-server.ts')
  const registry = createMetrics()
  let watched: RunningServer | undefined
  const health = () => ({ state: watched?.announcer.state ?? 'JOINING', sessions: watched?.engine.numSessions ?? 0 })
  const server = await startMetricsServer({ registry, health }, { host: metricsHost, port: metricsPort })
  cleanup.add(() => server.stop())
  return {
    port: server.port,
    watch(running) {
      watched = running
      registerEngineMetrics(registry, running.engine)
      cleanup.add(registerEventLoopMetric(registry))
    },
  }
}
