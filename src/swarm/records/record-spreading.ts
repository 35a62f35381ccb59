import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { pause } from '../deadline.ts'
import type { BlockKeys } from './block-keys.ts'
import { connectedPeers, pickSome } from './pick-peers.ts'
import type { RecordExchange } from './record-exchange.ts'
import type { ServerRecord } from './record-fields.ts'
import type { RecordNode } from './record-node.ts'
import { signRecord } from './record.ts'

/** What spreading works with. */
export interface RecordSpreadingModules {
  readonly node: RecordNode
  readonly exchange: RecordExchange
  readonly blockKeys: BlockKeys
  readonly modelKey: string
}

/**
 * Pauses between attempts to gossip a record while it reaches nobody. Peers' subscriptions become known 0.1 to 0.5 s
 * after a dial.
 */
const SPREAD_PAUSES_MS = [50, 100, 200, 400, 800, 1600, 3200]
/** How many connected peers are told a record where there is no bootstrap peer. */
const TELL_PEERS = 3
/**
 * The shortest time between two stores of a record in the DHT, each of which asks twenty peers. Gossip carries more
 * frequent changes.
 */
const PUT_INTERVAL_MS = 60_000

/** A record on its way to others. */
interface Spread {
  readonly bytes: Uint8Array
  /** Peers that are sent it directly and have not taken it yet. */
  readonly untold: Set<PeerTarget>
  /** Whether gossip has reached somebody. */
  isGossiped: boolean
  /** Ends when there is a newer record. */
  readonly signal: AbortSignal
}

/** Makes this node's record of one model known: by gossip, to bootstrap peers, and in the DHT. */
export class RecordSpreading {
  readonly #modules: RecordSpreadingModules
  #current = new AbortController()
  #lastPut = { atMs: 0, state: '' }

  constructor(modules: RecordSpreadingModules) {
    this.#modules = modules
  }

  /**
   * Signs this node's record and spreads it. Resolves after the first attempt to gossip it and to send it to the
   * bootstrap peers; further attempts and the DHT follow in the background. Throws `SWARM_RECORD` for an invalid
   * record, and nothing else.
   */
  async announce(record: ServerRecord): Promise<void> {
    const { node, exchange } = this.#modules
    const bytes = await signRecord(record, node.identity)
    await exchange.intake.addOwn(bytes)
    this.#current.abort()
    this.#current = new AbortController()
    const spread = { bytes, untold: new Set(this.#peersToTell()), isGossiped: false, signal: this.#current.signal }
    await this.#attempt(spread)
    void this.#goOn(spread)
    void this.#enterDht(record, bytes)
  }

  /** Ends further attempts. */
  stop(): void {
    this.#current.abort()
  }

  async #goOn(spread: Spread): Promise<void> {
    for (const pauseMs of SPREAD_PAUSES_MS) {
      if (spread.isGossiped && spread.untold.size === 0) return
      if (!(await pause(pauseMs, spread.signal))) return
      await this.#attempt(spread)
    }
  }

  /** Gossips the record unless that has reached somebody already, and sends it to those that have not taken it yet. */
  async #attempt(spread: Spread): Promise<void> {
    const { exchange, modelKey, node } = this.#modules
    const { bytes, untold, signal } = spread
    const tells = [...untold].map(async (peer) => {
      try {
        await exchange.tell(peer, bytes, signal)
        untold.delete(peer)
      } catch (error) {
        node.logger.debug({ reason: errorMessage(error) }, 'a peer did not take the record')
      }
    })
    const [numRecipients] = await Promise.all([
      spread.isGossiped ? 1 : exchange.gossip.publish(modelKey, bytes),
      ...tells,
    ])
    spread.isGossiped = numRecipients > 0
  }

  async #enterDht(record: ServerRecord, bytes: Uint8Array): Promise<void> {
    const { blockKeys } = this.#modules
    const isOffline = record.state === 'OFFLINE'
    const provided = isOffline ? blockKeys.provide(0, 0) : blockKeys.provide(record.start, record.end)
    if (record.state !== this.#lastPut.state || Date.now() - this.#lastPut.atMs > PUT_INTERVAL_MS) {
      this.#lastPut = { atMs: Date.now(), state: record.state }
      await blockKeys.put(bytes)
    }
    await provided
  }

  #peersToTell(): readonly PeerTarget[] {
    const { node } = this.#modules
    return node.bootstrapPeers.length > 0 ? node.bootstrapPeers : pickSome(connectedPeers(node), TELL_PEERS)
  }
}
