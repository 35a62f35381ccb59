import { Discovery } from '../../swarm/records/discovery.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import { askContact } from '../../swarm/node/contact.ts'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { type SwarmLogger, type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import type { LanOptions } from '../../swarm/node/lan-discovery.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import { somePeers } from '../../swarm/node/some-peers.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { Candidates, type RouteFinder } from '../remote/routes/candidates.ts'
import type { RouteSpan } from '../remote/routes/route-request.ts'
import { RouteHelp } from '../remote/routes/route-help.ts'
import type { SwarmAccess } from '../remote/swarm-access.ts'
import { PassLanes } from '../pass/lanes.ts'
import { Bans } from '../remote/seen/bans.ts'
import { LinkMeter } from '../remote/seen/link-meter.ts'
import { ServerChoice, type ServerChoiceOptions } from '../remote/routes/server-choice.ts'
import { Slowdowns } from '../remote/seen/slowdowns.ts'

/** Which model's swarm to join, and how. */
export interface SwarmClientOptions extends ServerChoiceOptions {
  readonly bootstrap: readonly string[]
  /** Looks for peers in the local network. */
  readonly lan?: LanOptions | undefined
  /** A started node to use instead of a new one; it is not stopped by `close`. */
  readonly node?: SwarmNode | undefined
  /** The 32 bytes of a private swarm's key. */
  readonly swarmKey?: Uint8Array | undefined
  readonly modelKey: string
  /** The model as the user names it, a folder or a name on the hub, for messages. */
  readonly model?: string | undefined
  /** The model's key, if the user chose it. */
  readonly dhtPrefix?: string | undefined
  readonly numBlocks: number
  /** What the checkpoint's weights are stored in; float32 unless told. */
  readonly checkpointDType?: string | undefined
  readonly logger: SwarmLogger
  /** Takes spans of requests; a given node has its own. */
  readonly tracing?: Tracing | undefined
}

/** How many servers at each end of a model are dialled at a time to measure the way, and how often; as in Petals. */
const MEASURED_EACH = 3
const MEASURE_PERIOD_MS = 60_000

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
  readonly links: LinkMeter
  readonly observed = new Slowdowns()
  readonly lanes = new PassLanes()
  readonly #bans = new Bans()
  readonly #choice: ServerChoice
  readonly #numBlocks: number
  readonly #help: RouteHelp
  #timer: NodeJS.Timeout | undefined

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
        lan: options.lan,
        swarmKey: options.swarmKey,
        logger: options.logger,
        tracing: options.tracing,
      }))
    const client = new SwarmClient(node, options)
    try {
      if (client.#ownsNode) await node.start()
      await node.records.start(client)
      await node.ready()
      client.discovery.start()
      await Promise.all([client.discovery.refresh(), client.#compareClocks()])
      client.#measureLinks()
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(node: SwarmNode, options: SwarmClientOptions) {
    const { modelKey, numBlocks, node: given } = options
    this.#choice = new ServerChoice(options, options.checkpointDType)
    this.#numBlocks = numBlocks
    this.#help = new RouteHelp(node, options)
    this.modelKey = modelKey
    this.node = node
    this.links = new LinkMeter((peerId) => node.connections.rttMs(peerId))
    this.#ownsNode = given === undefined
    this.discovery = new Discovery({ node, exchange: node.records, modelKey, numBlocks })
    this.#candidates = new Candidates({
      records: () => this.records(),
      isReached: (peerId) => this.#isReached(peerId),
      dial: (server, signal) => node.dial(server, { signal }),
      onFailure: (peerId, error) => this.avoid(peerId, error as Error),
    })
  }

  /**
   * The best route whose servers are there. Throws as `Candidates.route`, and says what can be done: which command
   * would serve the blocks, whose clock is off, or which models are served instead.
   */
  async route(find: RouteFinder): Promise<RouteSpan[]> {
    try {
      return await this.#candidates.route(find)
    } catch (error) {
      const reached = this.records().filter(({ peerId }) => this.#isReached(peerId))
      const { directory } = this.discovery
      const leftOut = this.#choice.leftOut(directory.records())
      throw await this.#help.explain(error, { find, reached, wasServed: directory.numPeers > 0, leftOut })
    }
  }

  #isReached(peerId: string): boolean {
    return peerId === this.node.peerId || this.node.connections.has(peerId)
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

  /** Now and then dials some servers at both ends of the model, so that routes know the round trips to them. */
  #measureLinks(): void {
    const online = this.records().filter(({ state }) => state === 'ONLINE')
    for (const block of [0, this.#numBlocks - 1]) {
      const holders = online.filter(({ start, end }) => start <= block && block < end)
      somePeers(this.node, holders, MEASURED_EACH)
    }
    this.#timer = setTimeout(() => this.#measureLinks(), MEASURE_PERIOD_MS)
    this.#timer.unref()
  }

  get logger(): SwarmLogger {
    return this.node.logger
  }

  get tracing(): Tracing | undefined {
    return this.node.tracing
  }

  get peerId(): string {
    return this.node.peerId
  }

  /** The servers that this client may use, from their records. */
  records(): readonly ServerRecord[] {
    return this.#choice.among(this.discovery.directory.records())
  }

  /** Asks peers for newer records. Throws as `Discovery.refresh`. */
  refresh(): Promise<void> {
    return this.discovery.refresh()
  }

  /** Opens a stream to a server. Throws as `SwarmNode.open`. */
  open<R extends 'inference' | 'control' | 'forward' | 'backward' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>> {
    return this.node.open(server, rpc, { signal })
  }

  /** The servers that are avoided now, by peer id. */
  avoided(): ReadonlySet<string> {
    return this.#bans.current()
  }

  /** Notes that a server has failed: it is avoided for a while, the longer the worse the error and the more often. */
  avoid(peerId: string, error: Error): void {
    this.discovery.noteFailure(peerId)
    this.#bans.failed(peerId, error)
  }

  /** Notes that a server has worked, which shortens how long it is avoided later. */
  worked(peerId: string): void {
    this.#bans.worked(peerId)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.discovery.stop()
    await this.node.records.stop(this)
    if (this.#ownsNode) await this.node.stop()
  }
}
