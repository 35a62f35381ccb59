import type { Logger } from 'pino'
import type { ApiServer } from '../../../api/api-server.ts'
import { UsageError } from '../../../base/errors.ts'
import type { Adapter } from '../../../checkpoint/adapter/adapter.ts'
import type { Checkpoint } from '../../../checkpoint/checkpoint.ts'
import { openAdapterFrom } from '../../../checkpoint/open-adapter.ts'
import { openModel } from '../../../checkpoint/open-model.ts'
import type { DownloadOptions } from '../../../checkpoint/hub/download/download-options.ts'
import { chooseDevice, freeDeviceBytes, webGpuHint } from '../../../runtime/choose-device.ts'
import { deviceText, parseDType } from '../../../runtime/device.ts'
import { type RunningServer, type ServeOptions, serve } from '../../../server/serve.ts'
import type { SwarmNode } from '../../../swarm/node/node.ts'
import type { Quantization } from '../../../tensor/quantize.ts'
import type { ServingSnapshot } from '../../../api/swarm-view/snapshot.ts'
import { BUNDLED_MODEL } from '../../values/bundled-model.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import { parseKvDType } from '../../values/kv-dtype.ts'
import { createLogger } from '../../terminal/logger.ts'
import { ProgressView } from '../../terminal/progress.ts'
import { announceReady, bestFirst } from '../../process/ready-file.ts'
import type { ServeValues } from './options.ts'
import { aborted, orAborted } from '../../../base/abort.ts'
import { openTracing } from '../../process/tracing.ts'
import type { Shutdown } from '../../process/shutdown.ts'
import { spanText } from '../../../base/span.ts'
import { parseSpan } from '../../values/span.ts'
import { parseThroughput } from '../../values/throughput.ts'
import { startNode } from '../../join/start-node.ts'
import { answerThrough, openServeApi } from './api.ts'
import { type ServerMetrics, openMetrics } from './metrics.ts'
import { superviseServe } from './supervise.ts'

/** Serves a span until asked to stop, then drains. Rejects, with everything closed, if it cannot start or go on. */
export async function runServe(values: ServeValues, { shutdown }: CommandContext): Promise<void> {
  const logger = await createLogger(values.logLevel)
  if (values.supervise) return superviseServe(values, logger)
  const cleanup = new Cleanup()
  try {
    const { running, api } = await start(values, logger, cleanup, shutdown.signal)
    await Promise.race([
      aborted(shutdown.signal),
      running.failed.then((error) => {
        throw error
      }),
    ])
    await Promise.all([api?.drain(values.drainTimeout * 1000), drain(running, values.drainTimeout, logger, shutdown)])
  } finally {
    await cleanup.run()
  }
  logger.info('stopped')
}

/** Starts the server. An aborted signal ends the start wherever it waits, and undoes what was begun. */
async function start(
  values: ServeValues,
  logger: Logger,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<Pick<Started, 'running' | 'api'>> {
  const progress = new ProgressView(logger)
  cleanup.add(() => progress.stop())
  const download = {
    maxDiskSpaceBytes: values.maxDiskSpace,
    onProgress: progress.download(),
    onTrouble: (trouble: string) => logger.warn(trouble),
  }
  const checkpoint = await openModel(values.model ?? BUNDLED_MODEL, { ...download, signal })
  const options = {
    ...serveOptions(values, checkpoint),
    adapters: await openAdapters(values.adapters, download, signal),
  }
  const metrics = await openMetrics(values, cleanup)
  const { registry } = metrics
  const tracing = await openTracing(logger, cleanup)
  const api = await openServeApi(values, { registry, logger, cleanup, tracing })
  const node = await orAborted(startNode(values, logger, cleanup, { metrics: metrics.ofLibp2p, tracing }), signal)
  logger.info(
    {
      device: deviceText(options.device),
      dtype: options.dtype,
      quant: options.quant,
      kvDtype: values.kvDtype,
      threads: options.threads,
    },
    `loading ${checkpoint.remote?.repo ?? checkpoint.folder}`,
  )
  for (const note of checkpoint.notes) logger.info(note)
  const hint = webGpuHint(values.device, options.device)
  if (hint !== undefined) logger.info(hint)
  const running = await serve(node, { ...options, download, signal, onProgress: progress.loading() }, logger)
  cleanup.add(() => running.stop())
  if (api !== undefined) {
    api.swarm.serving = () => loadOf(running)
    await answerThrough(node, values, { api, registry, logger, cleanup }, { ...download, signal })
  }
  await tellReady(values, { running, node, metrics, api }, logger, cleanup)
  return { running, api }
}

/** What the swarm's page shows of this node's own span. */
function loadOf({ keeper: { numSessions, cacheTokens, cacheTokensLeft } }: RunningServer): ServingSnapshot {
  return { sessions: numSessions, cacheTokens, cacheTokensLeft }
}

function serveOptions(values: ServeValues, checkpoint: Checkpoint): ServeOptions {
  const { numBlocks, dtype } = checkpoint.config
  const [start, end] = values.blocks === undefined ? [] : parseSpan(values.blocks, numBlocks)
  const device = chooseDevice(values.device)
  return {
    checkpoint,
    start,
    end,
    numBlocks: values.numBlocks,
    device,
    dtype: parseDType(values.dtype, device, dtype),
    quant: values.quant as Quantization,
    quantCache: values.quantCache,
    kvDType: parseKvDType(values.kvDtype),
    threads: values.threads,
    spin: values.spin,
    dhtPrefix: values.dhtPrefix,
    cacheTokens: values.attnCacheTokens,
    prefillChunkTokens: values.prefillChunkTokens,
    allowClientAdapters: values.allowClientAdapters,
    adapterBytes: values.adapters.length > 0 || values.allowClientAdapters ? values.adapterMemory : 0,
    trainingBytes: values.trainingMemory,
    memoryBytes: freeDeviceBytes(device),
    publicName: values.publicName,
    throughput: parseThroughput(values.throughput),
    balance:
      values.balanceQuality === 0
        ? undefined
        : { quality: values.balanceQuality, periodMs: values.balancePeriod * 1000 },
    peerLimits: {
      sessions: values.peerSessions,
      cacheTokens: values.peerCacheTokens,
      tokensPerSecond: values.peerTokens,
    },
  }
}

/** Opens the adapters; their names must differ, since requests select an adapter by name. */
async function openAdapters(
  sources: readonly string[],
  download: DownloadOptions,
  signal: AbortSignal,
): Promise<Adapter[]> {
  const adapters: Adapter[] = []
  for (const source of sources) {
    const adapter = await openAdapterFrom(source, { ...download, signal })
    if (adapters.some(({ name }) => name === adapter.name))
      throw new UsageError(`--adapters ${source}: there are two adapters named ${adapter.name}`)
    adapters.push(adapter)
  }
  return adapters
}

interface Started {
  readonly running: RunningServer
  readonly node: SwarmNode
  readonly metrics: ServerMetrics
  readonly api: ApiServer | undefined
}

async function tellReady(
  values: ServeValues,
  { running, node, metrics, api }: Started,
  logger: Logger,
  cleanup: Cleanup,
): Promise<void> {
  const {
    modelKey,
    engine: { start, end, cacheTokens, backwardTokens, config },
  } = running
  const { peerId } = node
  const multiaddrs = bestFirst(node.multiaddrs)
  const blocks = spanText([start, end])
  cleanup.add(
    await announceReady(
      { peerId, multiaddrs, blocks, httpPort: api?.port ?? null, metricsPort: metrics.port },
      values.readyFile,
    ),
  )
  logger.info(
    {
      modelKey,
      peerId,
      multiaddrs,
      cacheTokens,
      backwardTokens,
      ...(metrics.port !== null && { metricsPort: metrics.port }),
      ...(api !== undefined && { httpPort: api.port }),
    },
    `serving blocks ${blocks} of ${config.numBlocks}`,
  )
  if (node.bootstrapPeers.length === 0)
    logger.info(
      `this is a swarm of its own; others join it with --bootstrap ${multiaddrs[0]}` +
        (values.swarmKey === undefined ? '' : ' and its key, which "petals-node invite" makes one word of') +
        (values.mdns ? ', or with --mdns in this network' : ''),
    )
  metrics.watch(running, node)
}

async function drain(
  running: RunningServer,
  timeoutSeconds: number,
  logger: Logger,
  { orphaned }: Shutdown,
): Promise<void> {
  if (orphaned.aborted) return
  const numSessions = running.blocks.sessions.count
  if (numSessions === 0) logger.info('stopping')
  else
    logger.info(
      { numSessions },
      `draining: open sessions get ${timeoutSeconds} s to end; a second Ctrl-C stops at once`,
    )
  await orAborted(running.drain(timeoutSeconds * 1000), orphaned).catch((error: unknown) => {
    if (!orphaned.aborted) throw error
  })
  const numLeft = running.blocks.sessions.count
  if (numLeft > 0) logger.warn({ numSessions: numLeft }, 'sessions cut off')
}
