import { VERSION } from '../base/version.ts'
import { Discovery } from '../swarm/discovery.ts'
import type { FrameStream } from '../swarm/frame-stream.ts'
import { loadIdentity } from '../swarm/identity.ts'
import { type SwarmLogger, type SwarmNode, createSwarmNode } from '../swarm/node.ts'
import { RecordExchange } from '../swarm/record-exchange.ts'
import type { ServerRecord } from '../swarm/record-fields.ts'
import type { SwarmAccess } from './session/chain.ts'

export interface SwarmClientOptions {
  readonly bootstrap: readonly string[]
  readonly modelKey: string
  readonly numBlocks: number
  readonly logger: SwarmLogger
}

/** A server that failed is left alone for a while, twice as long each time. */
const BAN_MS = 15_000
const MAX_BAN_MS = 600_000

/** A client's view of one model's swarm: a node that only dials, and the records of who serves what. */
export class SwarmClient implements SwarmAccess {
  readonly modelKey: string
  readonly node: SwarmNode
  readonly discovery: Discovery
  readonly #exchange: RecordExchange
  readonly #bans = new Map<string, { until: number, lengthMs: number }>()

  /** Connects with a bootstrap peer and fetches the map. Throws `SWARM_UNREACHABLE` where none of them answers. */
  static async connect(options: SwarmClientOptions): Promise<SwarmClient> {
    const node = await createSwarmNode({
      identity: await loadIdentity(), listen: [], bootstrap: options.bootstrap, logger: options.logger,
    })
    const client = new SwarmClient(node, options)
    try {
      await node.start()
      await client.#exchange.start()
      await node.ready()
      client.discovery.start()
      await client.discovery.refresh()
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(node: SwarmNode, { modelKey, numBlocks }: SwarmClientOptions) {
    this.modelKey = modelKey
    this.node = node
    this.#exchange = new RecordExchange(node, { version: VERSION })
    this.discovery = new Discovery({ node, exchange: this.#exchange, modelKey, numBlocks })
  }

  records(): readonly ServerRecord[] {
    return this.discovery.directory.records()
  }

  refresh(): Promise<void> {
    return this.discovery.refresh()
  }

  open(server: ServerRecord, rpc: 'inference' | 'forward', signal: AbortSignal): Promise<FrameStream> {
    return this.node.open(server, rpc, { signal })
  }

  avoided(): ReadonlySet<string> {
    const now = Date.now()
    return new Set([...this.#bans].filter(([, { until }]) => until > now).map(([peerId]) => peerId))
  }

  avoid(peerId: string): void {
    const ban = this.#bans.get(peerId)
    if (ban !== undefined && ban.until > Date.now()) return
    const lengthMs = ban === undefined ? BAN_MS : Math.min(ban.lengthMs * 2, MAX_BAN_MS)
    this.#bans.set(peerId, { until: Date.now() + lengthMs, lengthMs })
  }

  async close(): Promise<void> {
    this.discovery.stop()
    await this.#exchange.stop()
    await this.node.stop()
  }
}
