import type { PetalsError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import type { Adapter } from '../checkpoint/adapter/adapter.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { modelKey } from '../checkpoint/weights/fingerprint.ts'
import { fetchTensors, releaseTensors } from '../checkpoint/hub/download/fetch-tensors.ts'
import type { DownloadOptions } from '../checkpoint/hub/remote/remote.ts'
import { Engine, type EngineOptions } from '../engine/engine.ts'
import type { LoadProgress } from '../engine/loading/load.ts'
import { spanTensorNames } from '../engine/loading/tensor-names.ts'
import { serveContact } from '../swarm/node/contact.ts'
import { orAborted } from '../base/abort.ts'
import { Discovery } from '../swarm/records/discovery.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node/node.ts'
import { Announcer } from './announcer.ts'
import { BlockServer, type BlockServerModules } from './block-server.ts'
import { ClientAdapters } from './client-adapters.ts'
import { EngineKeeper } from './engine-keeper.ts'
import { NextHops } from './next-hops.ts'
import { probeSelf } from './self-probe.ts'
import { type SpanSizeOptions, sizeSpan } from './span-size.ts'
import { measureThroughput } from './throughput.ts'

export interface ServeOptions extends SpanSizeOptions {
  readonly checkpoint: Checkpoint
  readonly dhtPrefix?: string | undefined
  readonly threads: number
  readonly spin: boolean
  readonly quantCache?: string | undefined
  readonly publicName?: string | undefined
  /** LoRA adapters that requests may name, and what the matrices of all that are loaded may take. */
  readonly adapters?: readonly Adapter[] | undefined
  readonly adapterBytes?: number | undefined
  /** Whether clients may bring adapters of their own. */
  readonly allowClientAdapters?: boolean | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** How the span of a model of the hub is fetched, before it is loaded. */
  readonly download?: Omit<DownloadOptions, 'signal'> | undefined
  /** Ends the start: what was begun is undone at once, and `serve` rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Pauses before the attempts to load a lost span again, in milliseconds; as many attempts as pauses. */
  readonly reloadPausesMs?: readonly number[] | undefined
}

/** A span on the air. */
export interface RunningServer {
  readonly modelKey: string
  /** The present engine: another one after the span was loaded again. */
  readonly engine: Engine
  readonly keeper: EngineKeeper
  readonly announcer: Announcer
  readonly blocks: BlockServer
  readonly discovery: Discovery
  /** Resolves, with `SPAN_LOST`, when the engine was lost and could not be loaded again: the process had better end. */
  readonly failed: Promise<PetalsError>
  /** Refuses new sessions and waits until the open ones have ended, or for `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>
  /** Says OFFLINE and gives everything back but the node, which is the caller's. */
  stop(): Promise<void>
}

type Load = (options: EngineOptions) => Promise<Engine>

const DRAIN_POLL_MS = 50

/** A session that does not fit waits for room at most this long, whatever its client asks for. */
const MAX_ALLOC_TIMEOUT_MS = 600_000

/** A chat that rests for longer is replayed when it goes on. */
const SESSION_IDLE_MS = 30 * 60_000

/**
 * Fetches and loads a span and puts it on the air of a started node: announced as JOINING meanwhile, ONLINE once it has
 * answered a probe through the network. What was begun is undone where that fails. `load` makes the engine.
 */
export async function serve(
  node: SwarmNode,
  options: ServeOptions,
  logger: SwarmLogger,
  load: Load = Engine.load,
): Promise<RunningServer> {
  const {
    checkpoint: { config },
    device,
    dtype,
    signal,
  } = options
  const key = await modelKey(options.checkpoint, options.dhtPrefix)
  const discovery = new Discovery({ node, exchange: node.records, modelKey: key, numBlocks: config.numBlocks })
  const size = await sizeSpan({ node, discovery, logger }, config, options, signal).catch((error: unknown) => {
    discovery.stop()
    throw error
  })
  const { start, end } = size
  const announcer = new Announcer(
    { node, discovery },
    {
      modelKey: key,
      start,
      end,
      dtype,
      quant: arithmeticOf(options),
      device: device.kind,
      version: VERSION,
      clientAdapters: options.allowClientAdapters === true,
      ...(options.kvDType !== undefined && { kvDType: options.kvDType }),
      ...(options.publicName !== undefined && { publicName: options.publicName }),
    },
  )
  const undo: (() => Promise<void> | void)[] = []
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    signal?.throwIfAborted()
    await node.records.start(announcer)
    undo.push(() => node.records.stop(announcer))
    await serveContact(node, VERSION)
    undo.push(() => node.unhandle('contact'))
    discovery.start()
    undo.push(() => discovery.stop())
    undo.push(() => announcer.become('OFFLINE'))
    await orAborted(announcer.become('JOINING'), signal)

    const names = spanTensorNames(options.checkpoint, start, end)
    const checkpoint = await fetchTensors(options.checkpoint, names, { ...options.download, signal })
    // Until then, since a lost span is loaded again from there.
    undo.push(() => releaseTensors(checkpoint))
    const {
      signal: _,
      download: __,
      adapters = [],
      allowClientAdapters = false,
      adapterBytes = 0,
      ...engineOptions
    } = { ...options, checkpoint }
    const loadSpan = (signal: AbortSignal | undefined): Promise<Engine> =>
      loadWith(adapters, load, { ...engineOptions, ...size, adapterBytes, signal })
    const first = await loadSpan(signal)
    let closeEngine = () => first.close()
    undo.push(() => closeEngine())
    node.servingDevice = device.kind === 'cpu' ? 'cpu' : `${device.kind}:${device.index}`
    undo.push(() => {
      node.servingDevice = undefined
    })
    const clientAdapters = allowClientAdapters ? new ClientAdapters({ totalBytes: adapterBytes }) : undefined
    const blocks = blockServer({ node, engine: first, logger, clientAdapters }, discovery, key)
    const goOnline = async (engine: Engine): Promise<void> => {
      blocks.resume(engine)
      announcer.describe(engine, await measureThroughput(engine))
      await probeSelf(node, engine, key)
      await announcer.become(blocks.isDraining ? 'DRAINING' : 'ONLINE')
    }
    await blocks.start()
    undo.push(() => blocks.stop())
    await orAborted(goOnline(first), signal)
    const onLost = (error: PetalsError): void => {
      blocks.suspend(error)
      void announcer.become('JOINING')
    }
    const keeper = new EngineKeeper(
      first,
      { load: loadSpan, onLost, onLoaded: goOnline, logger },
      options.reloadPausesMs,
    )
    closeEngine = () => keeper.stop()
    keeper.on('cache', () => announcer.cacheChanged())
    const drain = (timeoutMs: number) => drainSessions(blocks, announcer, timeoutMs)
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
      drain,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What records call the form that the weights are kept in: integers of a quantized checkpoint stay what they are. */
function arithmeticOf({
  quant = 'none',
  checkpoint: {
    config: { storedQuant },
  },
}: ServeOptions): string {
  return storedQuant === undefined || storedQuant.method === 'fp8' ? quant : storedQuant.method
}

/** Nothing is left behind of an engine that an adapter does not fit. */
async function loadWith(adapters: readonly Adapter[], load: Load, options: EngineOptions): Promise<Engine> {
  const engine = await load(options)
  try {
    for (const adapter of adapters) engine.adapters.add(adapter)
    return engine
  } catch (error) {
    await engine.close()
    throw error
  }
}

function blockServer(modules: Omit<BlockServerModules, 'findHop'>, discovery: Discovery, key: string): BlockServer {
  const { node } = modules
  const hops = new NextHops({
    isConnected: (peerId) => peerId === node.peerId || node.isConnected(peerId),
    directory: discovery.directory,
    refresh: () => discovery.refresh(),
  })
  const findHop: NextHops['find'] = (peerId, clientId) => hops.find(peerId, clientId)
  return new BlockServer(
    { ...modules, findHop },
    { modelKey: key, maxAllocTimeoutMs: MAX_ALLOC_TIMEOUT_MS, sessionIdleMs: SESSION_IDLE_MS },
  )
}

async function drainSessions(blocks: BlockServer, announcer: Announcer, timeoutMs: number): Promise<void> {
  blocks.drain()
  await announcer.become('DRAINING')
  const until = performance.now() + timeoutMs
  while (blocks.numSessions > 0 && performance.now() < until) {
    await new Promise((resolve) => {
      setTimeout(resolve, DRAIN_POLL_MS)
    })
  }
}
