import type { Logger } from 'pino'
import { ServedModel } from '../../../api/models/served-model.ts'
import { registerClientMetrics } from '../../../api/metrics/client-metrics.ts'
import { createMetrics, registerEventLoopMetric } from '../../../api/metrics/metrics.ts'
import { libp2pMetrics, registerSwarmMetrics } from '../../../api/metrics/swarm-metrics.ts'
import { aborted, orAborted } from '../../../base/abort.ts'
import { requireSwarm } from '../../join/addresses.ts'
import { openClient } from '../../join/open-client.ts'
import { startClientNode } from '../../join/start-node.ts'
import type { CommandContext } from '../command.ts'
import { Cleanup } from '../../process/cleanup.ts'
import { announceReady } from '../../process/ready-file.ts'
import { openTracing } from '../../process/tracing.ts'
import type { Shutdown } from '../../process/shutdown.ts'
import { createLogger } from '../../terminal/logger.ts'
import { BUNDLED_MODEL } from '../../values/bundled-model.ts'
import { openApi } from './open-api.ts'
import type { ApiValues } from './options.ts'
import type { ApiServer } from '../../../api/api-server.ts'

/** Answers over HTTP until it is asked to stop, then lets answers under way end. */
export async function runApi(values: ApiValues, { shutdown }: CommandContext): Promise<void> {
  requireSwarm(values)
  const logger = await createLogger(values.logLevel)
  const cleanup = new Cleanup()
  try {
    const api = await orAborted(start(values, logger, cleanup, shutdown.signal), shutdown.signal)
    await aborted(shutdown.signal)
    await drain(api, values.drainTimeout, logger, shutdown)
  } finally {
    await cleanup.run()
  }
  logger.info('stopped')
}

async function start(values: ApiValues, logger: Logger, cleanup: Cleanup, signal: AbortSignal): Promise<ApiServer> {
  const registry = createMetrics()
  const tracing = await openTracing(logger, cleanup)
  const { host, port } = values
  const api = await openApi(
    values,
    { host, port, options: { host: 'host', port: 'port' } },
    { registry, logger, cleanup, tracing },
  )
  const node = await startClientNode(values, logger, cleanup, { metrics: libp2pMetrics(registry), tracing })
  registerSwarmMetrics(registry, node)
  for (const source of values.model.length > 0 ? values.model : [BUNDLED_MODEL]) {
    const model = await openClient({ ...values, model: source }, { logger, cleanup, signal, node })
    const served = await ServedModel.open(model, source, values)
    cleanup.add(() => served.close())
    api.catalog.add(served)
  }
  registerClientMetrics(registry, ...api.catalog.models.map(({ model }) => model))
  api.catalog.complete()
  // What loading has held up nobody has waited for.
  cleanup.add(registerEventLoopMetric(registry))
  const report = { peerId: node.peerId, multiaddrs: node.multiaddrs, blocks: null, metricsPort: api.port }
  cleanup.add(await announceReady({ ...report, httpPort: api.port }, values.readyFile))
  const models = api.catalog.models.map(({ id }) => id)
  const url = `http://${urlHost(host)}:${api.port}`
  logger.info({ models, httpPort: api.port }, `the API is at ${url}/v1, a chat at ${url}/`)
  return api
}

async function drain(api: ApiServer, timeoutSeconds: number, logger: Logger, { orphaned }: Shutdown): Promise<void> {
  if (orphaned.aborted) return
  const { numOpen } = api
  if (numOpen > 0)
    logger.info({ numOpen }, `answers under way get ${timeoutSeconds} s to end; a second Ctrl-C stops at once`)
  await orAborted(api.drain(timeoutSeconds * 1000), orphaned).catch((error: unknown) => {
    if (!orphaned.aborted) throw error
  })
}

/** An address as it stands in a URL. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
