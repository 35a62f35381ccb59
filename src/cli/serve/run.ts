import type { Logger } from 'pino'
import { type Checkpoint, openCheckpoint } from '../../checkpoint/checkpoint.ts'
import { parseDType, parseDevice } from '../../runtime/device.ts'
import { hasCudaProvider } from '../../runtime/environment.ts'
import { libraryPath } from '../../runtime/library.ts'
import { type RunningServer, type ServeOptions, serve } from '../../server/serve.ts'
import type { SwarmNode } from '../../swarm/node.ts'
import { BUNDLED_MODEL } from '../bundled-model.ts'
import { Cleanup } from '../cleanup.ts'
import type { CommandContext } from '../command.ts'
import { createLogger } from '../logger.ts'
import { announceReady, bestFirst } from '../ready-file.ts'
import type { ServeValues } from '../serve.ts'
import { type Shutdown, aborted, orAborted } from '../shutdown.ts'
import { parseSpan, spanText } from '../span.ts'
import { startNode } from '../start-node.ts'
import { openMetrics } from './metrics.ts'
import { logLoading } from './progress.ts'

/** Serves until it is asked to stop; then drains. Rejects, with nothing left open, where it cannot begin. */
export async function runServe(values: ServeValues, { shutdown }: CommandContext): Promise<void> {
  const logger = await createLogger(values.logLevel)
  const cleanup = new Cleanup()
  try {
    const running = await orAborted(start(values, logger, cleanup), shutdown.signal)
    await aborted(shutdown.signal)
    await drain(running, values.drainTimeout, logger, shutdown)
  } finally {
    await cleanup.run()
  }
  logger.info('stopped')
}

async function start(values: ServeValues, logger: Logger, cleanup: Cleanup): Promise<RunningServer> {
  const checkpoint = await openCheckpoint(values.model ?? BUNDLED_MODEL)
  const options = serveOptions(values, checkpoint)
  const node = await startNode(values, logger, cleanup)
  const metrics = await openMetrics(values, cleanup)
  const blocks = spanText([options.start, options.end])
  const onProgress = logLoading(logger)
  logger.info({ blocks, device: options.device.kind, dtype: options.dtype, threads: options.threads }, `loading ${checkpoint.folder}`)
  const running = await serve(node, { ...options, onProgress }, logger)
  cleanup.add(() => running.stop())
  const multiaddrs = bestFirst(node.multiaddrs)
  const report = { peerId: node.peerId, multiaddrs, blocks, httpPort: null, metricsPort: metrics.port }
  cleanup.add(await announceReady(report, values.readyFile))
  logServing(logger, running, node, report.metricsPort)
  metrics.watch(running)
  return running
}

function serveOptions(values: ServeValues, checkpoint: Checkpoint): ServeOptions {
  const { numBlocks, dtype } = checkpoint.config
  const [start, end] = values.blocks === undefined ? [0, numBlocks] : parseSpan(values.blocks, numBlocks)
  const device = parseDevice(values.device, () => hasCudaProvider(libraryPath()))
  return {
    checkpoint, start, end, device, dtype: parseDType(values.dtype, device, dtype), threads: values.threads, spin: values.spin,
    dhtPrefix: values.dhtPrefix, cacheTokens: values.attnCacheTokens, prefillChunkTokens: values.prefillChunkTokens,
    publicName: values.publicName,
  }
}

function logServing(logger: Logger, { modelKey, engine }: RunningServer, node: SwarmNode, metricsPort: number | null): void {
  const { start, end, cacheTokens } = engine
  const multiaddrs = bestFirst(node.multiaddrs)
  logger.info({ modelKey, peerId: node.peerId, multiaddrs, cacheTokens, ...(metricsPort !== null && { metricsPort }) },
    `serving blocks ${spanText([start, end])} of ${engine.config.numBlocks}`)
  if (node.bootstrapPeers.length === 0) logger.info(`this is a swarm of its own; others join it with --bootstrap ${multiaddrs[0]}`)
}

async function drain(running: RunningServer, timeoutSeconds: number, logger: Logger, { orphaned }: Shutdown): Promise<void> {
  if (orphaned.aborted) return
  const numSessions = running.blocks.numSessions
  if (numSessions === 0) logger.info('stopping')
  else logger.info({ numSessions }, `draining: open sessions get ${timeoutSeconds} s to end; a second Ctrl-C stops at once`)
  await orAborted(running.drain(timeoutSeconds * 1000), orphaned).catch((error: unknown) => {
    if (!orphaned.aborted) throw error
  })
  const numLeft = running.blocks.numSessions
  if (numLeft > 0) logger.warn({ numSessions: numLeft }, 'sessions cut off')
}
