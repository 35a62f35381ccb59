import { UsageError, errorMessage } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { modelKey } from '../checkpoint/fingerprint.ts'
import { Engine } from '../engine/engine.ts'
import type { LoadProgress } from '../engine/load.ts'
import type { Device } from '../runtime/device.ts'
import { Discovery } from '../swarm/discovery.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node.ts'
import { RecordExchange } from '../swarm/record-exchange.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { Announcer } from './announcer.ts'
import { BlockServer } from './block-server.ts'
import { cacheBytesPerToken, defaultCacheTokens } from './cache-size.ts'
import { probeSelf } from './self-probe.ts'
import { measureThroughput } from './throughput.ts'

export interface ServeOptions {
  readonly checkpoint: Checkpoint
  readonly dhtPrefix?: string | undefined
  readonly start: number
  readonly end: number
  readonly device: Device
  readonly dtype: FloatDType
  readonly threads: number
  readonly spin: boolean
  /** KV cache in tokens; from the free memory where not given. */
  readonly cacheTokens?: number | undefined
  readonly prefillChunkTokens?: number | undefined
  readonly publicName?: string | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
}

/** A span on the air. */
export interface RunningServer {
  readonly modelKey: string
  readonly engine: Engine
  readonly announcer: Announcer
  readonly blocks: BlockServer
  readonly discovery: Discovery
  /** Refuses new sessions and waits until the open ones have ended, or for `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>
  /** Says OFFLINE and gives everything back but the node, which is the caller's. */
  stop(): Promise<void>
}

const DRAIN_POLL_MS = 50

/** A session that does not fit waits for room at most this long, whatever its client asks for. */
const MAX_ALLOC_TIMEOUT_MS = 600_000

/** A chat that rests for longer is replayed when it goes on. */
const SESSION_IDLE_MS = 30 * 60_000

/**
 * Loads a span and puts it on the air of a started node: announced as JOINING while it loads, ONLINE once it has answered
 * a probe through the network. What was begun is undone where that fails.
 */
export async function serve(node: SwarmNode, options: ServeOptions, logger: SwarmLogger): Promise<RunningServer> {
  const { checkpoint: { config }, start, end, device, dtype } = options
  checkSpan(start, end, config.numBlocks)
  const key = await modelKey(options.checkpoint, options.dhtPrefix)
  const exchange = new RecordExchange(node, { version: VERSION })
  const discovery = new Discovery({ node, exchange, modelKey: key, numBlocks: config.numBlocks })
  const announcer = new Announcer({ node, discovery }, {
    modelKey: key, start, end, dtype, quant: 'none', device: device.kind, version: VERSION,
    ...(options.publicName !== undefined && { publicName: options.publicName }),
  })
  const undo: (() => Promise<void> | void)[] = []
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    await exchange.start()
    undo.push(() => exchange.stop())
    discovery.start()
    undo.push(() => discovery.stop())
    await announcer.become('JOINING')
    undo.push(() => announcer.become('OFFLINE'))

    const cacheTokens = options.cacheTokens ?? defaultCacheTokens(cacheBytesPerToken(config, device, dtype, end - start))
    const engine = await Engine.load({ ...options, cacheTokens })
    undo.push(() => engine.close())
    const blocks = new BlockServer({ node, engine, logger }, { modelKey: key, maxAllocTimeoutMs: MAX_ALLOC_TIMEOUT_MS, sessionIdleMs: SESSION_IDLE_MS })
    await blocks.start()
    undo.push(() => blocks.stop())
    announcer.describe(engine, await measureThroughput(engine))
    await probeSelf(node, engine, key)
    await announcer.become('ONLINE')
    engine.on('cache', () => announcer.cacheChanged())
    engine.on('failed', (error) => {
      logger.warn({ reason: errorMessage(error) }, 'the engine thread died')
      void announcer.become('OFFLINE')
    })
    const drain = (timeoutMs: number) => drainSessions(blocks, announcer, timeoutMs)
    return { modelKey: key, engine, announcer, blocks, discovery, drain, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function checkSpan(start: number, end: number, numBlocks: number): void {
  if (Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= numBlocks) return
  throw new UsageError(`--blocks ${start}:${end}: this model has blocks 0:${numBlocks}`)
}

async function drainSessions(blocks: BlockServer, announcer: Announcer, timeoutMs: number): Promise<void> {
  blocks.drain()
  await announcer.become('DRAINING')
  const until = performance.now() + timeoutMs
  while (blocks.numSessions > 0 && performance.now() < until) {
    await new Promise((resolve) => { setTimeout(resolve, DRAIN_POLL_MS) })
  }
}
