import assert from 'node:assert/strict'
import { setTimeout as sleep, setImmediate as nextTurn } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { PetalsError, isTransient } from '../../../src/base/errors.ts'
import { PassLanes } from '../../../src/client/pass/lanes.ts'
import type { PassMemory } from '../../../src/client/pass/pass-memory.ts'
import type { PassAccess } from '../../../src/client/pass/pass-access.ts'
import type { LoadedModule } from '../../../src/checkpoint/adapter/adapter-digest.ts'
import type { RequestStream, ServedStream } from '../../../src/swarm/frames/frame-stream.ts'
import type { Answer, Request } from '../../../src/swarm/frames/messages.ts'
import { PROTOCOL_VERSION } from '../../../src/swarm/protocol-version.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../../src/tensor/tensor.ts'
import { widen } from '../../../src/tensor/travel.ts'
import { simulateTime } from '../../simulated-time.ts'
import { type Handler, MemoryNetwork, type MemoryPeer } from '../session/network.ts'

export const NUM_BLOCKS = 6
export const WIDTH = 2

/** What a block multiplies its input by. */
export function factorOf(block: number): number {
  return 1 + (block % 3) / 4
}

/** Hidden states [rows, tokens, WIDTH] whose values all differ, and are exact in float32. */
export function batch(rows: number, tokens: number, offset = 0): Tensor {
  const values = Float32Array.from({ length: rows * tokens * WIDTH }, (_, i) => ((i * 7 + offset) % 64) - 32)
  return fromFloat32(values, [rows, tokens, WIDTH])
}

/** Output of blocks that each add their prompts at the first positions, then multiply. */
export function forward(input: Tensor, start: number, end: number, prompts?: Tensor): Tensor {
  let states = input
  for (let block = start; block < end; block++) {
    const given = prompts && asFloat32(sliceRows(prompts, block - start, block - start + 1))
    const rowLength = states.shape[1]! * WIDTH
    const values = asFloat32(states).map((value, i) => (value + (given?.[i % rowLength] ?? 0)) * factorOf(block))
    states = fromFloat32(values, states.shape)
  }
  return states
}

/** The gradients of `forward`: of its input, and of its prompts as sums over rows. */
export function backward(
  gradient: Tensor,
  start: number,
  end: number,
  positions: number | undefined,
): { hidden: Tensor; prompts: Tensor | undefined } {
  const sums: Float32Array[] = []
  let states = gradient
  for (let block = end - 1; block >= start; block--) {
    states = fromFloat32(
      asFloat32(states).map((value) => value * factorOf(block)),
      states.shape,
    )
    const sum = new Float32Array((positions ?? 0) * WIDTH)
    const rowLength = states.shape[1]! * WIDTH
    for (const [i, value] of asFloat32(states).entries()) if (i % rowLength < sum.length) sum[i % rowLength]! += value
    sums.unshift(sum)
  }
  const all = Float32Array.from(sums.flatMap((sum) => [...sum]))
  return {
    hidden: states,
    prompts: positions === undefined ? undefined : fromFloat32(all, [end - start, positions, WIDTH]),
  }
}

type ForwardRequest = Request<'forward'>
type BackwardRequest = Request<'backward'>

/** One request that a server has computed. */
export interface Computed {
  readonly kind: 'forward' | 'backward'
  readonly start: number
  readonly end: number
  readonly rows: number
  readonly tokens: number
  readonly adapter: string | undefined
}

/** A server that speaks the protocol around blocks that only multiply. */
export class ToyServer {
  readonly peer: MemoryPeer
  readonly computed: Computed[] = []
  /** Changes the server's record. */
  record: Partial<ServerRecord> = {}
  /** How long a piece takes; pieces are computed one after another. */
  pieceMs = 0
  /** Called before each piece is computed, which waits for it and fails with it. */
  before: (kind: 'forward' | 'backward') => void | Promise<void> = () => undefined
  /** What it says in the place of an honest answer. */
  lie: <A>(answer: A) => A | undefined = (answer) => answer
  /** Adapters that it holds, by name. */
  readonly adapters = new Map<string, LoadedModule[]>()
  /** What each upload brought: the module's name, or "same" before it. */
  readonly uploads: string[][] = []
  /** The most requests that it had at a time. */
  mostAtOnce = 0
  #atOnce = 0
  #busy: Promise<unknown> = Promise.resolve()
  readonly #span: readonly [number, number]

  constructor(peer: MemoryPeer, span: readonly [number, number]) {
    this.peer = peer
    this.#span = span
    const handlers = { forward: this.#forward, backward: this.#backward, adapter: this.#adapter }
    for (const rpc of ['forward', 'backward', 'adapter'] as const)
      peer.handlers.set(rpc, handlers[rpc] as unknown as Handler)
  }

  get id(): string {
    return this.peer.id
  }

  rows(kind: 'forward' | 'backward'): number {
    return this.computed.filter((each) => each.kind === kind).reduce((sum, { rows }) => sum + rows, 0)
  }

  get fullRecord(): ServerRecord {
    const [start, end] = this.#span
    return {
      peerId: this.id,
      multiaddrs: [],
      modelKey: 'test',
      start,
      end,
      state: 'ONLINE',
      dtype: 'float32',
      quant: 'none',
      device: 'cpu',
      cacheTokensLeft: 1,
      cacheTokens: 1,
      throughput: 100,
      prefillRate: 1e5,
      decodeRate: 1e4,
      queueMs: 0,
      nextRtts: {},
      version: '1.0.0',
      protocol: PROTOCOL_VERSION,
      sequence: 1,
      issuedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      adapters: [],
      clientAdapters: true,
      backwardTokens: 4096,
      blockDigests: Array.from({ length: end - start }, (_, i) => `digest ${start + i}`),
      ...this.record,
    }
  }

  #forward = async (stream: ServedStream<'forward'>): Promise<void> => {
    const request = (await stream.receive())!
    await this.#compute('forward', request)
    const hidden = forward(widen(request.hidden), request.start, request.end, request.prompts)
    await this.#answer(stream, { kind: 'output', hidden })
  }

  #backward = async (stream: ServedStream<'backward'>): Promise<void> => {
    const request = (await stream.receive())!
    const { start, end, adapter, adapterGradients } = request
    await this.#compute('backward', request)
    const found = backward(request.gradient, start, end, request.prompts?.shape[1])
    await this.#answer(stream, { kind: 'gradients', ...found })
    // Of a module that adds sum(hidden) * sum(a) + sum(hidden) * sum(b).
    const sum = asFloat32(request.gradient).reduce((sum, value) => sum + value, 0)
    for (const { name, a, b } of adapterGradients ? this.#modulesIn(adapter!, start, end) : []) {
      const filled = ({ shape, data }: Tensor): Tensor =>
        fromFloat32(new Float32Array(data.byteLength / 4).fill(sum), shape)
      await this.#answer(stream, { kind: 'module', name, a: filled(a), b: filled(b) })
    }
    await this.#answer(stream, { kind: 'complete' })
  }

  #modulesIn(adapter: string, start: number, end: number): LoadedModule[] {
    return this.adapters.get(adapter)!.filter(({ name }) => {
      const block = Number(/layers\.(\d+)\./.exec(name)![1])
      return start <= block && block < end
    })
  }

  async #compute(kind: 'forward' | 'backward', request: ForwardRequest | BackwardRequest): Promise<void> {
    const { start, end, adapter, hidden } = request
    const [rows = 0, tokens = 0] = hidden.shape
    this.#atOnce += 1
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce)
    try {
      if (adapter !== undefined && !this.adapters.has(adapter))
        throw new PetalsError('ADAPTER_UNKNOWN', `no adapter ${adapter}`)
      const turn = this.#busy.then(() => sleep(this.pieceMs))
      this.#busy = turn
      await turn
      await this.before(kind)
      this.computed.push({ kind, start, end, rows, tokens, adapter })
    } finally {
      this.#atOnce -= 1
    }
  }

  async #answer<R extends 'forward' | 'backward'>(stream: ServedStream<R>, answer: Answer<R>): Promise<void> {
    const said = this.lie(answer)
    if (said !== undefined) await stream.send(said)
  }

  #adapter = async (stream: ServedStream<'adapter'>): Promise<void> => {
    const offer = (await stream.receive())!
    if (offer.kind !== 'offer') throw new PetalsError('SESSION_REQUEST', 'no offer')
    if (this.adapters.has(offer.adapter)) return stream.send({ kind: 'have' })
    const replaced = this.adapters.get(offer.replaces ?? '')
    await stream.send({ kind: 'send', ...(replaced === undefined ? {} : { hasReplaced: true }) })
    const modules: LoadedModule[] = []
    const upload: string[] = []
    for (let message = await stream.receive(); message?.kind !== 'complete'; message = await stream.receive()) {
      if (message?.kind === 'module') {
        modules.push(message)
        upload.push(message.name)
      } else if (message?.kind === 'same') {
        const { name } = message
        modules.push(replaced!.find((module) => module.name === name)!)
        upload.push(`same ${name}`)
      } else {
        throw new PetalsError('ADAPTER_REFUSED', 'it broke off')
      }
    }
    this.uploads.push(upload)
    this.adapters.set(offer.adapter, modules)
    if (offer.replaces !== undefined) this.adapters.delete(offer.replaces)
    await stream.send({ kind: 'taken' })
  }
}

/** Toy servers in one process, and a client that knows them all. Everything ends with the test. */
export class ToySwarm implements PassAccess {
  readonly modelKey = 'test'
  readonly peerId = 'client'
  readonly lanes = new PassLanes()
  readonly links = undefined
  passMemory: PassMemory | undefined
  readonly network = new MemoryNetwork()
  readonly client = this.network.join('client')
  readonly servers: ToyServer[] = []
  /** What servers have failed with, by peer id. */
  readonly bans = new Map<string, Error>()

  constructor(t: TestContext) {
    simulateTime(t)
    t.after(() => this.network.killAll())
  }

  serve(start: number, end: number, record: Partial<ServerRecord> = {}): ToyServer {
    const name = `${String.fromCodePoint(97 + this.servers.length)} ${start}:${end}`
    const server = new ToyServer(this.network.join(name), [start, end])
    server.record = record
    this.servers.push(server)
    return server
  }

  kill({ id }: ToyServer): void {
    this.network.kill(id)
  }

  /** Resolves once the client has no stream open, and nothing is under way: soon, or the test fails. */
  async idle(): Promise<void> {
    for (let turn = 0; turn < 20 && this.client.streams.size > 0; turn++) await nextTurn()
    assert.deepEqual([this.client.streams.size, this.lanes.numPieces], [0, 0])
  }

  records(): ServerRecord[] {
    return this.servers.filter(({ id }) => this.network.has(id)).map(({ fullRecord }) => fullRecord)
  }

  async refresh(): Promise<void> {}

  open<R extends 'forward' | 'backward' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>> {
    return this.network.open(this.client, server.peerId, rpc, signal)
  }

  avoided(): ReadonlySet<string> {
    return new Set(this.bans.keys())
  }

  avoid(peerId: string, error: Error): void {
    if (isTransient(error)) this.bans.set(peerId, error)
  }

  worked(): void {}
}
