import pLimit from 'p-limit'
import type { SwarmNode } from '../node/node.ts'
import { askContact } from '../node/contact.ts'
import type { ServerRecord } from '../records/record-fields.ts'
import { type ModelStatus, modelStatus } from './model-status.ts'

/** How long a server may take to answer; a healthy one takes milliseconds. */
const ANSWER_TIMEOUT_MS = 3000

/** How many are asked at the same time: each question may need a connection. */
const MAX_AT_ONCE = 32

/**
 * Asks servers for signs of life, and remembers who answered. The record of a killed server stays valid for a minute.
 */
export class ServerProbes {
  readonly #node: SwarmNode
  /** Servers that did not answer when they were last asked. */
  readonly #silent = new Set<string>()
  /** Round trips of those that did, in milliseconds. */
  readonly #roundTrips = new Map<string, number>()

  readonly #limit = pLimit(MAX_AT_ONCE)

  /** The node's records must be started. */
  constructor(node: SwarmNode) {
    this.#node = node
  }

  /** Asks every server of a model. Never rejects. */
  async probe(modelKey: string): Promise<void> {
    const directory = this.#node.records.store.hold(modelKey)
    await Promise.all(directory.records().map((record) => this.#limit(() => this.#probe(modelKey, record))))
    this.#forgetUnknown()
  }

  /** The status of a model's servers, by their records and what they last answered. */
  status(modelKey: string, numBlocks: number): ModelStatus {
    const directory = this.#node.records.store.hold(modelKey)
    const records = directory.records()
    const silent = new Set(
      records.map(({ peerId }) => peerId).filter((peerId) => this.#silent.has(peerId) || directory.isGone(peerId)),
    )
    return modelStatus(modelKey, numBlocks, records, { silent, roundTrips: this.#roundTrips })
  }

  #forgetUnknown(): void {
    const { store } = this.#node.records
    for (const peerId of [...this.#silent, ...this.#roundTrips.keys()]) {
      if (store.recordsOf(peerId).length > 0) continue
      this.#silent.delete(peerId)
      this.#roundTrips.delete(peerId)
    }
  }

  async #probe(modelKey: string, record: ServerRecord): Promise<void> {
    const { peerId } = record
    if (peerId === this.#node.peerId) return
    const answers = await this.#node.records.ask(record, modelKey, AbortSignal.timeout(ANSWER_TIMEOUT_MS)).then(
      () => true,
      () => false,
    )
    if (answers) this.#silent.delete(peerId)
    else this.#silent.add(peerId)
    this.#roundTrips.delete(peerId)
    if (!answers) return
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    const contact = await askContact(this.#node, record, undefined, signal).catch(() => undefined)
    if (contact !== undefined) this.#roundTrips.set(peerId, contact.roundTripMs)
  }
}
