/*
 * records/: who serves what. What a server says of itself (record-fields, record), what a node keeps of it (directory,
 * record-store), and how it travels (record-exchange, block-keys, discovery). It stands on frames/ and below node/, of
 * which it knows what record-node names.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Message, TopicValidatorResult } from '@libp2p/gossipsub'
import { errorCode, errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { withDeadline } from '../deadline.ts'
import { SwarmError } from '../errors.ts'
import { networkOf } from '../guards/host-class.ts'
import type { RequestStream, ServedStream } from '../frames/frame-stream.ts'
import { MAX_HEADER_BYTES } from '../limits.ts'
import type { RecordNode } from './record-node.ts'
import { PROTOCOL_VERSION } from '../protocol-version.ts'
import { MAX_KNOWN_DIGESTS, packDigests, unpackDigests } from './record-digest.ts'
import type { ServerRecord } from './record-fields.ts'
import { RecordStore } from './record-store.ts'
import { OWN_SOURCE, type RecordSource, STANDING } from './standing.ts'

/** How an exchange describes this node. */
export interface RecordExchangeOptions {
  /** This package's version, told to peers that ask. */
  version: string
  now?: () => number
}

/** A peer's answer to `info`. */
export interface InfoAnswer {
  version: string
  /** The peer's protocol version; empty if the peer's answer was empty. */
  protocol: string
  numRecords: number
  /** How many of the records were new here. */
  numNew: number
  /**
   * Whether the peer gossips to this node about the model. While it does not, what the peer hears does not come by
   * itself.
   */
  gossips: boolean
}

const REQUEST_TIMEOUT_MS = 5000
/** How many of this node's own records are remembered: more than it makes while the first of them is valid. */
const MAX_OWN_SEQUENCES = 1024
/** The most bytes of records in one answer, some thousands: it bounds what a peer can make another one verify. */
const MAX_ANSWER_BYTES = 16 << 20
/** Bytes of a header kept free for all fields besides the records. */
const HEADER_RESERVE_BYTES = 1024
/**
 * Records that are verified before the event loop gets a turn: a signature takes half a millisecond, and sessions share
 * the loop.
 */
const VERIFY_SLICE = 16

/**
 * Passes signed server records between peers: `info` asks a peer for all records that it knows, `announce` sends a peer
 * one's own, and gossip spreads changes. Every node keeps the records that it hears of and relays the gossip about
 * models that it knows. So a bootstrap node, which serves nothing, connects the others.
 */
export class RecordExchange {
  readonly store: RecordStore
  readonly #node: RecordNode
  readonly #version: string
  readonly #now: () => number
  /** The users that have started the exchange: a server and a client may share one node. */
  readonly #users = new Set<object>()
  readonly #twinListeners = new Set<(record: ServerRecord) => void>()
  /** Sequence numbers of this node's own records, the latest last. */
  readonly #ownSequences = new Set<number>()
  #ownRecord: Uint8Array | undefined
  #release: (() => void)[] = []

  constructor(node: RecordNode, { version, now = Date.now }: RecordExchangeOptions) {
    this.#node = node
    this.#version = version
    this.#now = now
    this.store = new RecordStore({ verifier: node.verifier, now })
  }

  /**
   * Starts the exchange for a user; it runs until all users have stopped it. Needs a started node, and must be called
   * again after the node was stopped and started.
   */
  async start(user: object = this): Promise<void> {
    this.#users.add(user)
    if (this.#release.length > 0) return
    this.#release = [
      this.store.onModel((modelKey, known) => (known ? this.#join(modelKey) : this.#leave(modelKey))),
      this.#node.connections.onDisconnect((peerId) => this.store.markGone(peerId)),
    ]
    for (const modelKey of this.store.modelKeys) this.#join(modelKey)
    await this.#node.handle('info', (stream) => this.#serveInfo(stream))
    await this.#node.handle('announce', (stream) => this.#serveAnnounce(stream))
  }

  /** Stops the exchange for a user. May also be called after the node was stopped. */
  async stop(user: object = this): Promise<void> {
    this.#users.delete(user)
    if (this.#release.length === 0 || this.#users.size > 0) return
    for (const release of this.#release.splice(0)) release()
    for (const modelKey of this.store.modelKeys) this.#leave(modelKey)
    await this.#node.unhandle('info')
    await this.#node.unhandle('announce')
  }

  /**
   * Asks a peer for all records of a model ('' for all models) that are not known here, and keeps the valid ones.
   * Throws as `SwarmNode.open`, and `SWARM_SIGNATURE` for a record that nobody can have believed.
   */
  async ask(peer: PeerTarget, modelKey: string, signal?: AbortSignal): Promise<InfoAnswer> {
    return await this.#request(peer, 'info', signal, async (stream, signal) => {
      this.store.raise(peer.peerId, this.#sourceOf(peer.peerId, peer.peerId))
      const digests = this.store.digests(modelKey)
      const known = digests.length === 0 || digests.length > MAX_KNOWN_DIGESTS ? undefined : packDigests(digests)
      await stream.send({ kind: 'info', modelKey, known }, { signal })
      const answer: InfoAnswer = { version: '', protocol: '', numRecords: 0, numNew: 0, gossips: true }
      let answerBytes = 0
      for (let part = await stream.receive({ signal }); part !== null; part = await stream.receive({ signal })) {
        const { records, version, protocol, gossips } = part
        answerBytes += records.reduce((sum, record) => sum + record.byteLength, 0)
        if (answerBytes > MAX_ANSWER_BYTES)
          throw new SwarmError('SWARM_FRAME', `peer ${peer.peerId} answers info without end`)
        answer.version = version
        answer.protocol = protocol
        answer.gossips = gossips
        answer.numRecords += records.length
        answer.numNew += await this.#addAll(records, peer.peerId)
      }
      return answer
    })
  }

  /** Sends this node's record to a peer. Throws as `SwarmNode.open`, or the peer's refusal. */
  async tell(peer: PeerTarget, record: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#request(peer, 'announce', signal, async (stream, signal) => {
      await stream.send({ kind: 'announce', record }, { signal })
      const answer = await stream.receive({ signal })
      if (answer === null) throw new SwarmError('SWARM_STREAM_LOST', `peer ${peer.peerId} did not answer to announce`)
    })
  }

  /** Keeps a record that this node has made. Throws as `verifyRecord`. */
  async addOwn(bytes: Uint8Array): Promise<void> {
    const record = await this.#node.verifier.verify(bytes, this.#now())
    this.#noteOwn(record, bytes)
    this.store.keep(record, bytes, OWN_SOURCE)
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

  async #request<R extends 'info' | 'announce', T>(
    peer: PeerTarget,
    rpc: R,
    signal: AbortSignal | undefined,
    work: (stream: RequestStream<R>, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return await withDeadline(`${rpc} with peer ${peer.peerId}`, REQUEST_TIMEOUT_MS, signal, async (signal) => {
      const stream = await this.#node.open(peer, rpc, { signal })
      try {
        const result = await work(stream, signal)
        await stream.end()
        return result
      } catch (error) {
        stream.abort(new SwarmError('SWARM_STREAM_LOST', `the request failed: ${errorMessage(error)}`))
        throw error
      }
    })
  }

  /** Keeps records that a peer passes on; ends the connection if one has a false signature. */
  async #addAll(records: readonly Uint8Array[], from: string): Promise<number> {
    let numNew = 0
    for (const [i, bytes] of records.entries()) {
      if (i % VERIFY_SLICE === VERIFY_SLICE - 1) await nextTurn()
      try {
        if (await this.#keepFrom(from, bytes)) numNew += 1
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

  /** Verifies a record that a peer has sent, and keeps it as far as the peer may make others known. */
  async #keepFrom(from: string, bytes: Uint8Array): Promise<boolean> {
    const record = await this.#verifyFrom(from, bytes)
    return this.store.keep(record, bytes, this.#sourceOf(record.peerId, from))
  }

  /** Throws as `verifyRecord`. Who passes a record on has verified it, so a false signature is its own doing. */
  async #verifyFrom(from: string, bytes: Uint8Array): Promise<ServerRecord> {
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

  #noteOwn({ sequence }: ServerRecord, bytes: Uint8Array): void {
    this.#ownRecord = bytes
    this.#ownSequences.add(sequence)
    const oldest = this.#ownSequences.values().next()
    if (this.#ownSequences.size > MAX_OWN_SEQUENCES && !oldest.done) this.#ownSequences.delete(oldest.value)
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

  async #serveInfo(stream: ServedStream<'info'>): Promise<void> {
    const request = await stream.receive({ timeoutMs: REQUEST_TIMEOUT_MS })
    if (request === null) return
    // Asked before the records are read: what arrives later is gossiped to the peer.
    const gossips = this.#gossipsTo(stream.remotePeer, request.modelKey)
    const known = request.known === undefined ? undefined : unpackDigests(request.known)
    for (const records of batches(this.store.signed(request.modelKey, known))) {
      await stream.send({ kind: 'info', version: this.#version, protocol: PROTOCOL_VERSION, records, gossips })
    }
  }

  #gossipsTo(peerId: string, modelKey: string): boolean {
    const subscribers = this.#node.libp2p.services.pubsub.getSubscribers(topicOf(modelKey))
    return subscribers.some((subscriber) => subscriber.toString() === peerId)
  }

  async #serveAnnounce(stream: ServedStream<'announce'>): Promise<void> {
    const request = await stream.receive({ timeoutMs: REQUEST_TIMEOUT_MS })
    if (request === null) return
    const { record } = request
    const from = stream.remotePeer
    const announced = await this.#verifyFrom(from, record)
    if (announced.peerId !== from)
      throw new SwarmError('SWARM_RECORD', `peer ${from} announces a record of ${announced.peerId}`)
    const isNew = this.store.keep(announced, record, this.#sourceOf(from, from))
    await stream.send({ kind: 'announced', isNew })
  }

  #join(modelKey: string): void {
    if (!this.#node.isStarted) return
    const { pubsub } = this.#node.libp2p.services
    pubsub.topicValidators.set(topicOf(modelKey), (from, message) => this.#onGossip(modelKey, from.toString(), message))
    pubsub.subscribe(topicOf(modelKey))
  }

  #leave(modelKey: string): void {
    if (!this.#node.isStarted) return
    const { pubsub } = this.#node.libp2p.services
    pubsub.unsubscribe(topicOf(modelKey))
    pubsub.topicValidators.delete(topicOf(modelKey))
  }

  /**
   * Verifies and keeps a gossiped record. Gossipsub passes only accepted messages on: what there is no room for here is
   * not spread any further either.
   */
  async #onGossip(modelKey: string, from: string, { data }: Message): Promise<TopicValidatorResult> {
    try {
      const record = await this.#verifyFrom(from, data)
      if (record.modelKey !== modelKey) return TopicValidatorResult.Reject
      const isNew = this.store.keep(record, data, this.#sourceOf(record.peerId, from))
      return isNew || this.store.holds(record) ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
    } catch (error) {
      return errorCode(error) === 'SWARM_RECORD_TIME' ? TopicValidatorResult.Ignore : TopicValidatorResult.Reject
    }
  }
}

function topicOf(modelKey: string): string {
  return `/petals-node/records/1.0.0/${modelKey}`
}

/**
 * Divides records among messages, as many to each as a header holds. There is at least one message, since it also tells
 * the version.
 */
function batches(records: readonly Uint8Array[]): Uint8Array[][] {
  const result: Uint8Array[][] = [[]]
  let batchBytes = 0
  let totalBytes = 0
  for (const record of records) {
    const bytes = record.byteLength + 4
    totalBytes += bytes
    if (totalBytes > MAX_ANSWER_BYTES) return result
    if (batchBytes + bytes > MAX_HEADER_BYTES - HEADER_RESERVE_BYTES) {
      result.push([])
      batchBytes = 0
    }
    result.at(-1)!.push(record)
    batchBytes += bytes
  }
  return result
}
