import { UsageError } from '../../base/errors.ts'
import type { SwarmLogger } from '../../swarm/logger.ts'
import type { TraceExport } from '../../api/trace-export.ts'
import type { Cleanup } from './cleanup.ts'

/**
 * Exports spans where the environment names an endpoint for them; `cleanup`, which has to close sessions before, sends
 * the last ones. Throws `USAGE` for an endpoint that is no URL.
 */
export async function openTracing(logger: SwarmLogger, cleanup: Cleanup): Promise<TraceExport | undefined> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = process.env
  if (endpoint === undefined || endpoint === '') return undefined
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? ''))
    throw new UsageError(`OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}: expected a URL such as http://127.0.0.1:4318`)
  const { TraceExport } = await import('../../api/trace-export.ts')
  const tracing = new TraceExport(logger)
  cleanup.add(() => tracing.stop())
  return tracing
}
