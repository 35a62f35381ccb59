import { setImmediate as nextTurn } from 'node:timers/promises'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { networkOf } from '../guards/host-class.ts'
import type { ServerRecord } from './record-fields.ts'
import type { RecordNode } from './record-node.ts'
import type { RecordStore } from './record-store.ts'
import { OWN_SOURCE, type RecordSource, STANDING } from './standing.ts'

/** What an intake works with. */
export interface RecordIntakeModules {
  readonly node: Pick<RecordNode, 'peerId' | 'logger' | 'verifier' | 'connections' | 'bootstrapPeers'>
  readonly store: RecordStore
  readonly now: () => number
}

/** How many of this node's own records are remembered: more than it makes while the first of them is valid. */
const MAX_OWN_SEQUENCES = 1024
/**
 * Records that are verified before the event loop gets a turn: a signature takes half a millisecond, and sessions share
 * the loop.
 */
const VERIFY_SLICE = 16

/**
 * The way of records into the store: each is verified, and kept with what speaks for it. Knows which records this node
 * has made itself.
 */
export class RecordIntake {
  readonly #node: RecordIntakeModules['node']
  readonly #store: RecordStore
  readonly #now: () => number
  readonly #twinListeners = new Set<(record: ServerRecord) => void>()
  /** Sequence numbers of this node's own records, the latest last. */
  readonly #ownSequences = new Set<number>()
  #ownRecord: Uint8Array | undefined

  constructor({ node, store, now }: RecordIntakeModules) {
    this.#node = node
    this.#store = store
    this.#now = now
  }

  /** The record that this node has made last. */
  get ownRecord(): Uint8Array | undefined {
    return this.#ownRecord
  }

  /**
   * Calls `listener` with each record under this node's identity that comes from elsewhere and that this node has not
   * made: of an earlier run, or of another node with the same identity. Returns the function that ends this.
   */
  onForeignOwn(listener: (record: ServerRecord) => void): () => void {
    this.#twinListeners.add(listener)
    return () => this.#twinListeners.delete(listener)
  }

  /** Keeps a record that this node has made. Throws as `verifyRecord`. */
  async addOwn(bytes: Uint8Array): Promise<void> {
    const record = await this.#node.verifier.verify(bytes, this.#now())
    this.#ownRecord = bytes
    this.#ownSequences.add(record.sequence)
    const oldest = this.#ownSequences.values().next()
    if (this.#ownSequences.size > MAX_OWN_SEQUENCES && !oldest.done) this.#ownSequences.delete(oldest.value)
    this.#store.keep(record, bytes, OWN_SOURCE)
  }

  /**
   * Verifies a record that the peer `from` has sent. Throws as `verifyRecord`. Who passes a record on has verified it,
   * so a false signature is its own doing, and ends the connection.
   */
  async verify(bytes: Uint8Array, from: string): Promise<ServerRecord> {
    try {
      const record = await this.#node.verifier.verify(bytes, this.#now())
      if (record.peerId === this.#node.peerId && !this.#ownSequences.has(record.sequence))
        for (const listener of this.#twinListeners) listener(record)
      return record
    } catch (error) {
      if (errorCode(error) === 'SWARM_SIGNATURE') this.#node.connections.dismiss(from, error as Error)
      throw error
    }
  }

  /** Keeps a verified record, as far as the peer `from` may make others known. Returns whether it is new here. */
  keep(record: ServerRecord, bytes: Uint8Array, from: string): boolean {
    return this.#store.keep(record, bytes, this.#sourceOf(record.peerId, from))
  }

  /**
   * Verifies and keeps records that the peer `from` passes on; returns how many were new here. Bad ones are passed
   * over, but for one with a false signature: throws `SWARM_SIGNATURE`.
   */
  async addAll(records: readonly Uint8Array[], from: string): Promise<number> {
    let numNew = 0
    for (const [i, bytes] of records.entries()) {
      if (i % VERIFY_SLICE === VERIFY_SLICE - 1) await nextTurn()
      try {
        if (this.keep(await this.verify(bytes, from), bytes, from)) numNew += 1
      } catch (error) {
        if (errorCode(error) === 'SWARM_SIGNATURE') throw error
        this.#node.logger.debug(
          { code: errorCode(error), reason: errorMessage(error) },
          'a peer passed on a bad record',
        )
      }
    }
    return numNew
  }

  /** Notes that a peer is connected: more speaks for its records than that somebody passed them on. */
  noteMet(peerId: string): void {
    this.#store.raise(peerId, this.#sourceOf(peerId, peerId))
  }

  /** What speaks for a peer whose record came from another one, or from itself. */
  #sourceOf(peerId: string, from: string): RecordSource {
    if (peerId === this.#node.peerId) return OWN_SOURCE
    const contact = this.#node.connections.contactOf(peerId)
    if (contact !== undefined) {
      return { standing: contact.dialled ? STANDING.reached : STANDING.met, host: networkOf(contact.host), from }
    }
    const vouched = this.#node.bootstrapPeers.some((bootstrap) => bootstrap.peerId === from)
    const host = networkOf(this.#node.connections.contactOf(from)?.host ?? '')
    return { standing: vouched ? STANDING.vouched : STANDING.heard, host, from }
  }
}
