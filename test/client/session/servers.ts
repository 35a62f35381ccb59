import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { PetalsError, isTransient } from '../../../src/base/errors.ts'
import type { SwarmAccess } from '../../../src/client/remote/swarm-access.ts'
import { ReplayMemory } from '../../../src/client/session/inputs/replay-memory.ts'
import { InferenceSession, type InferenceSessionOptions } from '../../../src/client/session/inference-session.ts'
import type { Engine, EngineSessionOptions } from '../../../src/engine/engine.ts'
import { EngineSession } from '../../../src/engine/session/engine-session.ts'
import { RowAccounts } from '../../../src/engine/cache/rows/row-accounts.ts'
import { BlockServer } from '../../../src/server/block-server.ts'
import type { RequestStream } from '../../../src/swarm/frames/frame-stream.ts'
import type { AnyMessage } from '../../../src/swarm/frames/messages.ts'
import { PROTOCOL_VERSION } from '../../../src/swarm/protocol-version.ts'
import type { PeerTarget } from '../../../src/swarm/address.ts'
import { PeerGuard } from '../../../src/swarm/peer-rules.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'
import { type Activations, WIRE_DTYPES } from '../../../src/tensor/activations.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { widen } from '../../../src/tensor/travel.ts'
import { simulateTime } from '../../simulated-time.ts'
import { type Handler, MemoryNetwork, type MemoryPeer } from './network.ts'

const NUM_BLOCKS = 6

/** Hidden states [tokens, width] that carry one number per token, in the first column. */
export function hidden(tokens: readonly number[], width = 1): Tensor {
  const values = new Float32Array(tokens.length * width)
  tokens.forEach((token, i) => {
    values[i * width] = token
  })
  return fromFloat32(values, [tokens.length, width])
}

export function tokensOf(states: Activations): number[] {
  const [tokens = 0, width = 0] = states.shape
  const values = asFloat32(widen(states))
  return Array.from({ length: tokens }, (_, i) => values[i * width]!)
}

/** Stands for a block: each position's output depends on all inputs up to it, so that a wrong cache shows. */
function computeBlock(block: number, inputs: readonly number[]): number[] {
  let state = block + 1
  return inputs.map((input) => {
    state = (state * 31 + input) % 65_521
    return state
  })
}

/** What blocks `start` to `end` make of a sequence. */
export function computeBlocks(start: number, end: number, inputs: readonly number[]): number[] {
  let states = [...inputs]
  for (let block = start; block < end; block++) states = computeBlock(block, states)
  return states
}

/** What all blocks together make of a sequence. */
export function expected(tokens: readonly number[]): number[] {
  return computeBlocks(0, NUM_BLOCKS, tokens)
}

/** The real server of a span around blocks that only add and multiply. */
export class TestServer {
  readonly start: number
  readonly end: number
  readonly peer: MemoryPeer
  readonly rows: RowAccounts
  readonly blocks: BlockServer
  /** The steps that were computed, in their order. */
  readonly computed: { position: number; tokens: number }[] = []
  /** Sessions that asked for a row, and those that were given one or told why not. */
  numAsked = 0
  numAnswered = 0
  /** Sessions that were given a row, whether they still have it or not. */
  numOpened = 0
  /** Caches that were copied from one session to another. */
  numForks = 0
  readonly #caches = new WeakMap<EngineSession, () => number[]>()
  /** Called before a cache is copied, which waits for it and fails with it. */
  beforeFork: () => void | Promise<void> = () => undefined
  /** Called before each step is computed, which waits for it and fails with it. */
  beforeStep: () => void | Promise<void> = () => undefined

  /** What it makes of the hidden states that it has computed. */
  makes: (states: Tensor) => Tensor = (states) => states
  /** The forms of activations that its record names. */
  wireDTypes: string[] = [...WIRE_DTYPES]
  /** The device that its record names. */
  device = 'cpu'
  /** Whether its caches still hold what a step at a position attends to. */
  reaches: (position: number) => boolean = () => true

  /** Where its record says that it can be dialled. */
  multiaddrs: string[] = []

  /** `node` is a real node to serve from, and `targetOf` where it may dial a peer; else all is in memory. */
  constructor(
    network: MemoryNetwork,
    peer: MemoryPeer,
    [start, end]: readonly [number, number],
    cacheTokens: number,
    real?: { node: SwarmNode; targetOf: (peerId: string) => PeerTarget },
  ) {
    this.start = start
    this.end = end
    this.peer = peer
    this.rows = new RowAccounts({ totalTokens: cacheTokens })
    const engine: Pick<Engine, 'dtype' | 'openSession'> = {
      dtype: 'float32',
      openSession: (options) => this.#openSession(options),
    }
    const inMemory: Pick<SwarmNode, 'handle' | 'unhandle' | 'open' | 'peerGuard'> = {
      handle: async (rpc, handler) => {
        peer.handlers.set(rpc, handler as unknown as Handler)
      },
      unhandle: async (rpc) => {
        peer.handlers.delete(rpc)
      },
      open: (target, rpc) => network.open(peer, target.peerId, rpc),
      peerGuard: new PeerGuard({}),
    }
    this.blocks = new BlockServer(
      {
        node: real?.node ?? (inMemory as SwarmNode),
        engine: engine as Engine,
        logger: pino({ level: 'silent' }),
        admitHop: async (peerId) => real?.targetOf(peerId) ?? { peerId, multiaddrs: [] },
      },
      { modelKey: 'test', maxAllocTimeoutMs: 60_000, sessionIdleMs: 60_000 },
    )
  }

  get id(): string {
    return this.peer.id
  }

  get computedTokens(): number {
    return this.computed.reduce((sum, { tokens }) => sum + tokens, 0)
  }

  record(): ServerRecord {
    const {
      id: peerId,
      start,
      end,
      rows: { tokensLeft, totalTokens },
    } = this
    return {
      peerId,
      multiaddrs: this.multiaddrs,
      modelKey: 'test',
      start,
      end,
      state: 'ONLINE',
      dtype: 'float32',
      quant: 'none',
      device: this.device,
      wireDTypes: this.wireDTypes,
      cacheTokensLeft: tokensLeft,
      cacheTokens: totalTokens,
      throughput: 100,
      prefillRate: 1e6,
      decodeRate: 1e4,
      queueMs: 0,
      nextRtts: {},
      version: '1.0.0',
      protocol: PROTOCOL_VERSION,
      sequence: 1,
      issuedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      adapters: [],
      blockDigests: Array.from({ length: end - start }, (_, i) => `digest ${start + i}`),
    }
  }

  async #openSession({ start, end, maxLength, ...reserve }: EngineSessionOptions): Promise<EngineSession> {
    this.numAsked++
    const row = await this.rows.reserve(maxLength, reserve).finally(() => this.numAnswered++)
    this.numOpened++
    let cache: number[] = []
    let width: number | undefined
    const session = new EngineSession({
      maxLength,
      reaches: (position) => this.reaches(position),
      release: () => this.rows.release(row),
      copyFrom: async (source, tokens) => {
        await this.beforeFork()
        cache = this.#caches.get(source)!().slice(0, tokens)
        this.numForks++
      },
      step: async (position, states) => {
        await this.beforeStep()
        if (width !== undefined && states.shape[1] !== width)
          throw new PetalsError('TENSOR_SHAPE', `[${states.shape}]: expected [tokens, ${width}]`)
        width = states.shape[1]
        const tokens = tokensOf(states)
        this.computed.push({ position, tokens: tokens.length })
        cache = [...cache.slice(0, position), ...tokens]
        return this.makes(hidden(computeBlocks(start, end, cache).slice(position), states.shape[1]))
      },
    })
    this.#caches.set(session, () => cache)
    return session
  }
}

/** Makes a server answer otherwise: what `change` returns is sent instead, nothing for undefined. */
export function tamper(server: TestServer, rpc: 'inference' | 'control', change: (answer: never) => unknown): void {
  const honest = server.peer.handlers.get(rpc)!
  server.peer.handlers.set(rpc, (stream) => {
    const send = async (message: AnyMessage): Promise<void> => {
      const changed = await change(message as never)
      if (changed !== undefined) await stream.send(changed as AnyMessage)
    }
    const lying = new Proxy(stream, {
      get: (target, name) => {
        if (name === 'send') return send
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    return honest(lying)
  })
}

/** Servers of six blocks in one process, and a client that knows them all. Everything ends with the test. */
export class TestSwarm implements SwarmAccess {
  readonly modelKey = 'test'
  readonly network = new MemoryNetwork()
  readonly client = this.network.join('client')
  readonly servers: TestServer[] = []
  readonly banned = new Set<string>()

  constructor(t: TestContext) {
    simulateTime(t)
    t.after(() => this.network.killAll())
  }

  /** A server of blocks `start` to `end`. Of several of one span the router takes the one that came first. */
  async serve(start: number, end: number, { cacheTokens = 4096 } = {}): Promise<TestServer> {
    const peer = this.network.join(`server ${this.servers.length} of ${start}:${end}`)
    const server = new TestServer(this.network, peer, [start, end], cacheTokens)
    this.servers.push(server)
    await server.blocks.start()
    return server
  }

  /** A session of up to 256 tokens whose watchdog is quick and whose repairs take 5 s at most. */
  session(options: Partial<InferenceSessionOptions> = {}): InferenceSession {
    return new InferenceSession(this, {
      start: 0,
      end: NUM_BLOCKS,
      hiddenSize: 1,
      wireDType: 'auto',
      maxLength: 256,
      allocTimeoutMs: 5000,
      connectTimeoutMs: 1000,
      pullsCopies: true,
      replayMemory: new ReplayMemory(),
      recoveryTimeoutMs: 5000,
      watchdog: { lateMs: 150, answerMs: 250, minStepMs: 1000, stepTimeoutMs: 5000 },
      ...options,
    })
  }

  kill(...servers: readonly TestServer[]): void {
    for (const { id } of servers) this.network.kill(id)
  }

  records(): ServerRecord[] {
    return this.servers.filter(({ id }) => this.network.has(id)).map((server) => server.record())
  }

  async refresh(): Promise<void> {}

  open<R extends 'inference' | 'control' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>> {
    return this.network.open(this.client, server.peerId, rpc, signal)
  }

  avoided(): ReadonlySet<string> {
    return this.banned
  }

  avoid(peerId: string, error: Error): void {
    if (!isTransient(error)) return
    this.banned.add(peerId)
  }
}
