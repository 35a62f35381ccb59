import type { PetalsError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import type { Adapter } from '../checkpoint/adapter/adapter.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { modelKey } from '../checkpoint/model-key.ts'
import type { DownloadOptions } from '../checkpoint/hub/download/download-options.ts'
import { Engine } from '../engine/engine.ts'
import type { LoadProgress } from '../engine/loading/load.ts'
import { serveContact } from '../swarm/node/contact.ts'
import { orAborted } from '../base/abort.ts'
import { deviceText } from '../runtime/device.ts'
import type { BlockRates } from '../swarm/records/rates.ts'
import { Discovery } from '../swarm/records/discovery.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node/node.ts'
import { Announcer } from './announce/announcer.ts'
import { ContactRounds } from './announce/contact-rounds.ts'
import { TwinWatch } from './announce/twin-watch.ts'
import { BlockServer, type BlockServerModules, type PeerLimits } from './block-server.ts'
import { drainSessions } from './span/drain.ts'
import { ClientAdapters } from './client-adapters.ts'
import { EngineKeeper } from './span/engine-keeper.ts'
import { NextHops } from './session/next-hops.ts'
import { probeSelf } from './announce/self-probe.ts'
import { type HeldSpan, moveSpan } from './span/move-span.ts'
import { type Balance, PlacedServer } from './span/placed-server.ts'
import { type LoadEngine, SpanLoader } from './span/span-loader.ts'
import { type SpanSize, type SpanSizeOptions, sizeSpan } from './span/span-size.ts'
import { measureRates } from './rates/measure-rates.ts'
import { Undo } from './undo.ts'

/** Which span to serve, and how. */
export interface ServeOptions extends SpanSizeOptions {
  readonly checkpoint: Checkpoint
  readonly dhtPrefix?: string | undefined
  readonly threads: number
  readonly spin: boolean
  readonly quantCache?: string | undefined
  readonly publicName?: string | undefined
  /** Tokens per second of one session through the span, to announce instead of what is measured. */
  readonly throughput?: number | undefined
  /** LoRA adapters that requests may use; `adapterBytes` bounds the memory of all loaded adapters. */
  readonly adapters?: readonly Adapter[] | undefined
  readonly adapterBytes?: number | undefined
  /** What one peer may take. */
  readonly peerLimits?: PeerLimits | undefined
  /** Whether clients may upload adapters. */
  readonly allowClientAdapters?: boolean | undefined
  /** How a server that is not told its blocks takes others where the swarm needs them; absent: it stays. */
  readonly balance?: Balance | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** How the span's weights are downloaded, if the model is on the hub. */
  readonly download?: Omit<DownloadOptions, 'signal'> | undefined
  /** Aborts the start: what was begun is undone, and `serve` rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Pauses before the attempts to load a lost span again, in milliseconds; there are as many attempts as pauses. */
  readonly reloadPausesMs?: readonly number[] | undefined
}

/** A server whose span is being served. */
export interface RunningServer {
  readonly modelKey: string
  /** The current engine; a span that was loaded again has another one. */
  readonly engine: Engine
  readonly keeper: EngineKeeper
  readonly announcer: Announcer
  readonly blocks: BlockServer
  readonly discovery: Discovery
  /** Resolves, with `SPAN_LOST`, if the engine was lost and could not be loaded again: the process should end. */
  readonly failed: Promise<PetalsError>
  /** Refuses new sessions, and waits until the open ones have ended or `timeoutMs` have passed. */
  drain(timeoutMs: number): Promise<void>
  /** Announces OFFLINE and frees everything but the node, which belongs to the caller. */
  stop(): Promise<void>
}

/** The longest that a session waits for cache, even if its client allows more. */
const MAX_ALLOC_TIMEOUT_MS = 600_000

/** How long a session may rest: after that it loses its caches, and is replayed when it goes on. */
const SESSION_IDLE_MS = 30 * 60_000

/** What exists before anything of the model is loaded. */
interface Site {
  readonly node: SwarmNode
  readonly logger: SwarmLogger
  readonly discovery: Discovery
  readonly modelKey: string
  /** Undoes what was begun. */
  readonly undo: Undo
}

/**
 * Downloads, loads and serves a span on a started node. The server is announced as JOINING meanwhile, and as ONLINE
 * once its span has answered a probe over the network. If that fails, everything begun is undone. `load` makes the
 * engine. Throws `UsageError`, `HubError`, `CheckpointError`, what the engine throws, or the signal's reason.
 */
export async function serve(
  node: SwarmNode,
  options: ServeOptions,
  logger: SwarmLogger,
  load: LoadEngine = Engine.load,
): Promise<RunningServer> {
  const { download, signal, ...engineOptions } = options
  const { config } = options.checkpoint
  const key = await modelKey(options.checkpoint, options.dhtPrefix)
  const discovery = new Discovery({ node, exchange: node.records, modelKey: key, numBlocks: config.numBlocks })
  const site: Site = { node, logger, discovery, modelKey: key, undo: new Undo() }
  try {
    site.undo.push(() => discovery.stop())
    const size = sizeSpan(config, options, logger)
    const { announcer, placed } = await join(site, size, options)
    const { numBlocks, cacheTokens, trainingBytes } = size
    const onWarning = (warning: string): void => logger.warn(warning)
    const fetch = (start: number, aborted: AbortSignal | undefined) =>
      SpanLoader.fetch(
        { ...engineOptions, start, end: start + numBlocks, cacheTokens, trainingBytes, onWarning },
        download,
        load,
        aborted,
      )
    const span: HeldSpan = { loader: await fetch(announcer.start, signal) }
    // The files stay reserved until then, since a lost span is loaded again from them.
    site.undo.push(() => span.loader.release())
    const { keeper, blocks } = await putOnAir(site, announcer, span, options)
    const balancing = new AbortController()
    site.undo.push(() => balancing.abort())
    const move = (start: number) =>
      moveSpan({ span, fetch, announcer, keeper, sessions: blocks.sessions, logger }, start, balancing.signal)
    if (size.start === undefined && options.balance !== undefined)
      placed.keepBalanced(options.balance, move, balancing.signal)
    return {
      modelKey: key,
      get engine() {
        return keeper.engine
      },
      keeper,
      announcer,
      blocks,
      discovery,
      failed: keeper.failed,
      drain: (timeoutMs) => {
        balancing.abort()
        return drainSessions(blocks.sessions, announcer, timeoutMs)
      },
      stop: () => site.undo.run(),
    }
  } catch (error) {
    await site.undo.run()
    throw error
  }
}

/** Announces the server as one that is loading its span, chosen now if it was not given. */
async function join(
  { node, logger, discovery, modelKey, undo }: Site,
  { start, numBlocks }: SpanSize,
  options: ServeOptions,
): Promise<{ announcer: Announcer; placed: PlacedServer }> {
  const announcer = new Announcer(
    { node, discovery },
    {
      modelKey,
      start: start ?? 0,
      end: (start ?? 0) + numBlocks,
      dtype: options.dtype,
      quant: arithmeticOf(options),
      device: options.device.kind,
      version: VERSION,
      clientAdapters: options.allowClientAdapters === true,
      ...(start === undefined && options.balance !== undefined && { movable: true }),
      ...(options.kvDType !== undefined && { kvDType: options.kvDType }),
      ...(options.publicName !== undefined && { publicName: options.publicName }),
    },
  )
  await node.records.start(announcer)
  undo.push(() => node.records.stop(announcer))
  await serveContact(node, VERSION)
  undo.push(() => node.unhandle('contact'))
  const twins = new TwinWatch(node)
  twins.start()
  undo.push(() => twins.stop())
  discovery.start()
  undo.push(() => announcer.become('OFFLINE'))
  const model = options.checkpoint.config
  const placed = new PlacedServer({ node, discovery, announcer, logger, numBlocks: model.numBlocks })
  if (start === undefined) await orAborted(placed.choose(options.throughput), options.signal)
  await orAborted(announcer.become('JOINING'), options.signal)
  const onReachable = (reachable: boolean | undefined) => void announcer.tellReachable(reachable)
  const rounds = new ContactRounds({ node, discovery, onReachable })
  rounds.start()
  undo.push(() => rounds.stop())
  return { announcer, placed }
}

/** Loads the span and serves it from now on, also with the engines that replace a lost one. */
async function putOnAir(
  { node, logger, discovery, modelKey, undo }: Site,
  announcer: Announcer,
  span: HeldSpan,
  {
    device,
    allowClientAdapters = false,
    adapterBytes = 0,
    peerLimits,
    reloadPausesMs,
    throughput,
    signal,
  }: ServeOptions,
): Promise<{ keeper: EngineKeeper; blocks: BlockServer }> {
  const first = await span.loader.load(signal)
  let closeEngine = () => first.close()
  undo.push(() => closeEngine())
  node.servingDevice = deviceText(device)
  undo.push(() => {
    node.servingDevice = undefined
  })
  const clientAdapters = allowClientAdapters ? new ClientAdapters({ totalBytes: adapterBytes }) : undefined
  const blocks = blockServer({ node, engine: first, logger, clientAdapters }, discovery, modelKey, peerLimits)
  const goOnline = async (engine: Engine): Promise<void> => {
    blocks.resume(engine)
    blocks.pace.reset(await ratesOf(engine, throughput))
    announcer.describe(engine, blocks.pace, blocks.sessions)
    await probeSelf(node, engine, modelKey)
    await announcer.become(blocks.sessions.isDraining ? 'DRAINING' : 'ONLINE')
  }
  await blocks.start()
  undo.push(() => blocks.stop())
  await orAborted(goOnline(first), signal)
  const keeper = new EngineKeeper(
    first,
    {
      load: (signal) => span.loader.load(signal),
      onLost: (error) => {
        blocks.suspend(error)
        void announcer.become('JOINING')
      },
      onLoaded: goOnline,
      logger,
    },
    reloadPausesMs,
  )
  closeEngine = () => keeper.stop()
  keeper.on('cache', () => announcer.announceCacheChange())
  return { keeper, blocks }
}

/**
 * What records call the form of the weights: the quantization that was asked for, or the method of a checkpoint that is
 * quantized already.
 */
function arithmeticOf({
  quant = 'none',
  checkpoint: {
    config: { storedQuant },
  },
}: ServeOptions): string {
  if (storedQuant === undefined || storedQuant.method === 'fp8') return quant
  return quant === 'none' ? storedQuant.method : `${storedQuant.method} ${quant}`
}

/** What is announced: measured, but for the decoding that the operator claims. */
async function ratesOf(engine: Engine, throughput: number | undefined): Promise<BlockRates> {
  const measured = await measureRates(engine)
  return throughput === undefined ? measured : { ...measured, decode: throughput * (engine.end - engine.start) }
}

function blockServer(
  modules: Omit<BlockServerModules, 'admitHop'>,
  discovery: Discovery,
  modelKey: string,
  peerLimits: PeerLimits | undefined,
): BlockServer {
  const { node } = modules
  const hops = new NextHops({
    isConnected: (peerId) => peerId === node.peerId || node.connections.has(peerId),
    directory: discovery.directory,
    refresh: () => discovery.refresh(),
  })
  return new BlockServer(
    { ...modules, admitHop: (peerId, clientId) => hops.admit(peerId, clientId) },
    { modelKey, maxAllocTimeoutMs: MAX_ALLOC_TIMEOUT_MS, sessionIdleMs: SESSION_IDLE_MS, peerLimits },
  )
}
