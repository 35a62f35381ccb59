import { Discovery } from '../../swarm/records/discovery.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import { askContact } from '../../swarm/node/contact.ts'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { type SwarmLogger, type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { clockText } from '../../swarm/node/clock-votes.ts'
import { Candidates, type RouteFinder } from './candidates.ts'
import { NoRouteError, type RouteSpan } from './routing.ts'
import type { SwarmAccess } from '../session/chain.ts'

/** Which model's swarm to join, and how. */
export interface SwarmClientOptions {
  readonly bootstrap: readonly string[]
  /** A started node to use instead of a new one; it is not stopped by `close`. */
  readonly node?: SwarmNode | undefined
  /** The 32 bytes of a private swarm's key. */
  readonly swarmKey?: Uint8Array | undefined
  readonly modelKey: string
  readonly numBlocks: number
  readonly logger: SwarmLogger
}

/** How long a server that failed is avoided, at first; twice as long each time it fails again, up to `MAX_BAN_MS`. */
const BAN_MS = 15_000
const MAX_BAN_MS = 600_000

/** How long a client waits for bootstrap peers to tell the time while it connects. */
const CLOCK_TIMEOUT_MS = 2000

/** A client's access to one model's swarm: a node, and the records of who serves what. */
export class SwarmClient implements SwarmAccess {
  readonly modelKey: string
  readonly node: SwarmNode
  readonly discovery: Discovery
  /** Whether the node is stopped by `close`. */
  readonly #ownsNode: boolean
  readonly #candidates: Candidates
  readonly #bans = new Map<string, { until: number; lengthMs: number }>()

  /**
   * Connects to a bootstrap peer and fetches the records. Throws `SWARM_UNREACHABLE` if no bootstrap peer answers, and
   * `SWARM_STATE` for a given node that is not started.
   */
  static async connect(options: SwarmClientOptions): Promise<SwarmClient> {
    const node =
      options.node ??
      (await createSwarmNode({
        identity: await loadIdentity(),
        listen: [],
        bootstrap: options.bootstrap,
        swarmKey: options.swarmKey,
        logger: options.logger,
      }))
    const client = new SwarmClient(node, options)
    try {
      if (client.#ownsNode) await node.start()
      await node.records.start(client)
      await node.ready()
      client.discovery.start()
      await Promise.all([client.discovery.refresh(), client.#compareClocks()])
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(node: SwarmNode, { modelKey, numBlocks, node: given }: SwarmClientOptions) {
    this.modelKey = modelKey
    this.node = node
    this.#ownsNode = given === undefined
    this.discovery = new Discovery({ node, exchange: node.records, modelKey, numBlocks })
    this.#candidates = new Candidates({
      records: () => this.records(),
      isReached: (peerId) => peerId === node.peerId || node.isConnected(peerId),
      dial: (server, signal) => node.dial(server, { signal }),
      onFailure: (peerId) => this.avoid(peerId),
    })
  }

  /**
   * The best route whose servers are there. Throws as `Candidates.route`; where a clock is off, the error says so,
   * since servers are then missing for that reason.
   */
  async route(find: RouteFinder): Promise<RouteSpan[]> {
    try {
      return await this.#candidates.route(find)
    } catch (error) {
      const verdict = this.node.clocks.verdict()
      if (!(error instanceof NoRouteError) || verdict === undefined) throw error
      throw new NoRouteError(error.missingBlocks, `${error.message}; ${clockText(verdict)}`)
    }
  }

  /**
   * Asks the bootstrap peers what time it is: with a clock that is off, records look expired, and the node warns of it.
   */
  async #compareClocks(): Promise<void> {
    const { bootstrapPeers } = this.node
    const asks = bootstrapPeers.map((peer) =>
      askContact(this.node, peer, undefined, AbortSignal.timeout(CLOCK_TIMEOUT_MS)),
    )
    await Promise.allSettled(asks)
  }

  get logger(): SwarmLogger {
    return this.node.logger
  }

  get peerId(): string {
    return this.node.peerId
  }

  records(): readonly ServerRecord[] {
    return this.discovery.directory.records()
  }

  refresh(): Promise<void> {
    return this.discovery.refresh()
  }

  open<R extends 'inference' | 'forward' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>> {
    return this.node.open(server, rpc, { signal })
  }

  /** The servers that are avoided now, by peer id. */
  avoided(): ReadonlySet<string> {
    const now = Date.now()
    return new Set([...this.#bans].filter(([, { until }]) => until > now).map(([peerId]) => peerId))
  }

  /** Avoids a server for a while: it has failed. */
  avoid(peerId: string): void {
    const now = Date.now()
    this.discovery.noteFailure(peerId)
    for (const [id, { until }] of this.#bans) if (until + MAX_BAN_MS < now) this.#bans.delete(id)
    const ban = this.#bans.get(peerId)
    if (ban !== undefined && ban.until > now) return
    const lengthMs = ban === undefined ? BAN_MS : Math.min(ban.lengthMs * 2, MAX_BAN_MS)
    this.#bans.set(peerId, { until: now + lengthMs, lengthMs })
  }

  /** A server has worked: if its ban is over, it is forgotten, so that the next ban is short again. */
  worked(peerId: string): void {
    if ((this.#bans.get(peerId)?.until ?? Infinity) <= Date.now()) this.#bans.delete(peerId)
  }

  async close(): Promise<void> {
    this.discovery.stop()
    await this.node.records.stop(this)
    if (this.#ownsNode) await this.node.stop()
  }
}
