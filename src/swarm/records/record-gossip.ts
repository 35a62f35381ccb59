import { type Message, TopicValidatorResult } from '@libp2p/gossipsub'
import { errorCode, errorMessage } from '../../base/errors.ts'
import type { RecordIntake } from './record-intake.ts'
import type { RecordNode } from './record-node.ts'
import type { RecordStore } from './record-store.ts'

/** What gossip works with. */
export interface RecordGossipModules {
  readonly node: Pick<RecordNode, 'logger' | 'libp2p' | 'isStarted'>
  readonly store: RecordStore
  readonly intake: RecordIntake
}

/** Spreads and hears changed records by gossip: one topic for each model that is known here. */
export class RecordGossip {
  readonly #node: RecordGossipModules['node']
  readonly #store: RecordStore
  readonly #intake: RecordIntake

  constructor({ node, store, intake }: RecordGossipModules) {
    this.#node = node
    this.#store = store
    this.#intake = intake
  }

  /** Hears and relays the gossip about a model from now on. */
  join(modelKey: string): void {
    if (!this.#node.isStarted) return
    const { pubsub } = this.#node.libp2p.services
    pubsub.topicValidators.set(topicOf(modelKey), (from, message) => this.#onGossip(modelKey, from.toString(), message))
    pubsub.subscribe(topicOf(modelKey))
  }

  /** The opposite of `join`. */
  leave(modelKey: string): void {
    if (!this.#node.isStarted) return
    const { pubsub } = this.#node.libp2p.services
    pubsub.unsubscribe(topicOf(modelKey))
    pubsub.topicValidators.delete(topicOf(modelKey))
  }

  /** Gossips a record; returns the number of peers that it was sent to. */
  async publish(modelKey: string, record: Uint8Array): Promise<number> {
    try {
      const { recipients } = await this.#node.libp2p.services.pubsub.publish(topicOf(modelKey), record)
      return recipients.length
    } catch (error) {
      // Straight after connecting, the peers' subscriptions are not known yet: having nobody to send to is no error.
      this.#node.logger.debug({ reason: errorMessage(error) }, 'record not gossiped')
      return 0
    }
  }

  /** Whether this node gossips to a peer about a model: it knows by then that the peer has subscribed. */
  reaches(peerId: string, modelKey: string): boolean {
    const subscribers = this.#node.libp2p.services.pubsub.getSubscribers(topicOf(modelKey))
    return subscribers.some((subscriber) => subscriber.toString() === peerId)
  }

  /**
   * Verifies and keeps a gossiped record. Gossipsub passes only accepted messages on: what there is no room for here is
   * not spread any further either.
   */
  async #onGossip(modelKey: string, from: string, { data }: Message): Promise<TopicValidatorResult> {
    try {
      const record = await this.#intake.verify(data, from)
      if (record.modelKey !== modelKey) return TopicValidatorResult.Reject
      const isNew = this.#intake.keep(record, data, from)
      return isNew || this.#store.holds(record) ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
    } catch (error) {
      return errorCode(error) === 'SWARM_RECORD_TIME' ? TopicValidatorResult.Ignore : TopicValidatorResult.Reject
    }
  }
}

function topicOf(modelKey: string): string {
  return `/petals-node/records/1.0.0/${modelKey}`
}
