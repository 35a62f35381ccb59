import { errorMessage } from '../../base/errors.ts'
import { STANDING, type RecordSource } from './standing.ts'
import type { PeerTarget } from '../address.ts'
import { BlockKeys } from './block-keys.ts'
import { pause, withDeadline } from '../deadline.ts'
import type { Directory } from './directory.ts'
import type { RecordNode } from './record-node.ts'
import { connectedPeers, pickSome } from './pick-peers.ts'
import type { RecordExchange } from './record-exchange.ts'
import type { ServerRecord } from './record-fields.ts'
import { RecordSpreading } from './record-spreading.ts'

/** Whose servers to find, and how. */
export interface DiscoveryOptions {
  node: RecordNode
  exchange: RecordExchange
  modelKey: string
  /** Number of blocks of the whole model, to see which of them no server holds. */
  numBlocks: number
  refreshIntervalMs?: number
}

const REFRESH_INTERVAL_MS = 15_000
const REFRESH_TIMEOUT_MS = 20_000
/** How many peers are asked in a refresh besides the bootstrap peers. Each answers with all records that it knows. */
const ASK_PEERS = 3
/** How long to wait for further answers after the first one. */
const ASK_GRACE_MS = 300
/** Where records looked up in the DHT come from: whoever keeps them there. */
const FROM_DHT: RecordSource = { standing: STANDING.heard, host: 'dht', from: 'dht' }
/** How many blocks without a known server are looked up in the DHT in one refresh. */
const HOLE_LOOKUPS = 4
/** How many servers of the model to stay connected with, so that gossip works without the bootstrap peer. */
const MESH_PEERS = 4
/** Pauses between questions to a peer that does not yet know that it should gossip to this node. */
const CATCH_UP_PAUSES_MS = [50, 100, 200, 400, 800, 1600, 3200]

/** Keeps the directory of one model's servers up to date, and has this node's own record spread. */
export class Discovery {
  readonly directory: Directory
  readonly #node: RecordNode
  readonly #exchange: RecordExchange
  readonly #modelKey: string
  readonly #numBlocks: number
  readonly #refreshIntervalMs: number
  readonly #blockKeys: BlockKeys
  readonly #spreading: RecordSpreading
  #running: AbortController | undefined
  #catchingUp = { stop: new AbortController(), peerIds: new Set<string>() }
  #refreshing: Promise<void> | undefined
  /** Servers that have failed, each with the sequence number of the record that it had then. */
  readonly #failed = new Map<string, number>()

  constructor({ node, exchange, modelKey, numBlocks, refreshIntervalMs = REFRESH_INTERVAL_MS }: DiscoveryOptions) {
    this.#node = node
    this.#exchange = exchange
    this.#modelKey = modelKey
    this.#numBlocks = numBlocks
    this.#refreshIntervalMs = refreshIntervalMs
    this.#blockKeys = new BlockKeys(node, modelKey)
    this.#spreading = new RecordSpreading({ node, exchange, modelKey, blockKeys: this.#blockKeys })
    this.directory = exchange.store.hold(modelKey, this)
  }

  /** Refreshes the directory from now on, beginning at once. Node and exchange must be started. */
  start(): void {
    if (this.#running !== undefined) return
    this.#running = new AbortController()
    this.#exchange.store.hold(this.#modelKey, this)
    void this.#refreshForever(this.#running.signal)
  }

  /** Ends all background work. Tells other peers nothing: announce OFFLINE first. */
  stop(): void {
    this.#running?.abort()
    this.#running = undefined
    this.#spreading.stop()
    this.#catchingUp.stop.abort()
    this.#catchingUp = { stop: new AbortController(), peerIds: new Set() }
    this.#blockKeys.stop()
    this.#exchange.store.release(this.#modelKey, this)
  }

  /** The blocks that no known server holds. */
  holes(): number[] {
    return this.#blocksWithout(this.directory.records())
  }

  /** The blocks of which every server that is ONLINE has vanished, or there is none. */
  unserved(): number[] {
    return this.#blocksWithout(
      this.directory.records().filter(({ state, peerId }) => state === 'ONLINE' && !this.directory.isGone(peerId)),
    )
  }

  /** Notes that a server has failed: until its next record, others are looked for in its stead. */
  noteFailure(peerId: string): void {
    const record = this.directory.get(peerId)
    if (record !== undefined) this.#failed.set(peerId, record.sequence)
  }

  /**
   * Signs this node's record and spreads it. Resolves after the first attempt to gossip it and to send it to the
   * bootstrap peers; further attempts and the DHT follow in the background. Throws `SWARM_RECORD` for an invalid
   * record, and nothing else.
   */
  async announce(record: ServerRecord): Promise<void> {
    await this.#spreading.announce(record)
  }

  /**
   * Asks bootstrap and other peers for all records of the model, and the DHT for blocks that no known server holds.
   * Concurrent calls share one refresh. Missing answers are no error; throws only the signal's reason.
   */
  async refresh({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    const shared = this.#refreshing
    await withDeadline('refreshing the swarm map', REFRESH_TIMEOUT_MS, signal, async (signal) => {
      const { promise, reject } = Promise.withResolvers<never>()
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      await Promise.race([shared, promise])
    })
  }

  async #refreshForever(signal: AbortSignal): Promise<void> {
    do {
      await this.refresh({ signal }).catch((error: unknown) => this.#log('refresh', error))
    } while (await pause(this.#refreshIntervalMs * (0.75 + Math.random() / 2), signal))
  }

  async #refresh(): Promise<void> {
    await this.#askAll(this.#peersToAsk())
    const holes = this.holes()
    if (holes.length > 0) await this.#fillHoles(holes)
    else void this.#fillHoles(this.#doubtful())
    this.#meetServers()
  }

  /** The blocks that none of some servers holds. */
  #blocksWithout(records: readonly ServerRecord[]): number[] {
    const held = new Set<number>()
    for (const { start, end } of records) {
      for (let block = start; block < Math.min(end, this.#numBlocks); block += 1) held.add(block)
    }
    return Array.from({ length: this.#numBlocks }, (_, block) => block).filter((block) => !held.has(block))
  }

  /** The blocks of which all known servers have failed or vanished. */
  #doubtful(): number[] {
    const records = this.directory.records()
    const sequences = new Map(records.map(({ peerId, sequence }) => [peerId, sequence]))
    for (const [peerId, sequence] of this.#failed) if (sequences.get(peerId) !== sequence) this.#failed.delete(peerId)
    return this.#blocksWithout(
      records.filter(({ peerId }) => !this.#failed.has(peerId) && !this.directory.isGone(peerId)),
    )
  }

  #peersToAsk(): PeerTarget[] {
    const servers = this.#others().filter(({ peerId }) => this.#node.connections.has(peerId))
    const known = new Set([...this.#node.bootstrapPeers, ...servers].map(({ peerId }) => peerId))
    const strangers = known.size > 0 ? [] : connectedPeers(this.#node)
    return [...this.#node.bootstrapPeers, ...pickSome(servers, ASK_PEERS), ...pickSome(strangers, ASK_PEERS)]
  }

  /** Resolves shortly after the first answer, or when all questions have failed. */
  async #askAll(peers: readonly PeerTarget[]): Promise<void> {
    const grace = Promise.withResolvers<void>()
    let timer: NodeJS.Timeout | undefined
    const asks = peers.map(async (peer) => {
      if (await this.#ask(peer)) timer ??= setTimeout(() => grace.resolve(), ASK_GRACE_MS)
    })
    await Promise.race([Promise.all(asks), grace.promise])
    clearTimeout(timer)
  }

  async #ask(peer: PeerTarget): Promise<boolean> {
    try {
      const { gossips } = await this.#exchange.ask(peer, this.#modelKey, this.#running?.signal)
      if (!gossips) void this.#catchUp(peer)
      return true
    } catch (error) {
      this.#log('info', error)
      return false
    }
  }

  /**
   * Asks a peer again until it gossips to this node. Straight after a dial the peer does not know this node's
   * subscription yet, and what it hears meanwhile would arrive only at the next refresh.
   */
  async #catchUp(peer: PeerTarget): Promise<void> {
    const {
      peerIds,
      stop: { signal },
    } = this.#catchingUp
    if (peerIds.has(peer.peerId)) return
    peerIds.add(peer.peerId)
    try {
      for (const pauseMs of CATCH_UP_PAUSES_MS) {
        if (!(await pause(pauseMs, signal))) return
        if ((await this.#exchange.ask(peer, this.#modelKey, signal)).gossips) return
      }
    } catch (error) {
      this.#log('info', error)
    } finally {
      peerIds.delete(peer.peerId)
    }
  }

  async #fillHoles(holes: readonly number[]): Promise<void> {
    if (holes.length === 0) return
    const picked = new Set(
      Array.from({ length: HOLE_LOOKUPS }, (_, i) => holes[Math.floor((i * holes.length) / HOLE_LOOKUPS)]!),
    )
    const found = await Promise.all(
      [...picked].map((block) => this.#blockKeys.find(block, this.#running?.signal).catch(() => [])),
    )
    const unknown = new Map(
      found
        .flat()
        .filter(({ peerId }) => this.directory.get(peerId) === undefined)
        .map((peer) => [peer.peerId, peer]),
    )
    await Promise.all(pickSome([...unknown.values()], ASK_PEERS).map((peer) => this.#askOrGet(peer)))
  }

  async #askOrGet(peer: PeerTarget): Promise<void> {
    if (await this.#ask(peer)) return
    const record = await this.#blockKeys.get(peer.peerId)
    if (record !== undefined)
      await this.#exchange.store.add(record, FROM_DHT).catch((error: unknown) => this.#log('record', error))
  }

  /**
   * Connects with some of the model's servers: peers that are connected only through the bootstrap peer would lose each
   * other with it.
   */
  #meetServers(): void {
    const others = this.#others()
    const missing = MESH_PEERS - others.filter(({ peerId }) => this.#node.connections.has(peerId)).length
    const candidates = others.filter(
      (peer) =>
        peer.multiaddrs.length > 0 && !this.#node.connections.has(peer.peerId) && !this.directory.isGone(peer.peerId),
    )
    for (const peer of pickSome(candidates, Math.max(0, missing))) void this.#ask(peer)
  }

  /** The model's servers except this node. */
  #others(): ServerRecord[] {
    return this.directory.records().filter(({ peerId }) => peerId !== this.#node.peerId)
  }

  #log(what: string, error: unknown): void {
    this.#node.logger.debug({ what, reason: errorMessage(error) }, 'discovery: a peer did not help')
  }
}
