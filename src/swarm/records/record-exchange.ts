/*
 * records/: who serves what. What a server says of itself (record-fields, record), what a node keeps of it (directory,
 * record-store), and how it travels (record-exchange, record-gossip, block-keys, discovery). It stands on frames/ and
 * below node/, of which it knows what record-node names.
 */
import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { withDeadline } from '../deadline.ts'
import { SwarmError } from '../errors.ts'
import type { RequestStream, ServedStream } from '../frames/frame-stream.ts'
import { MAX_HEADER_BYTES } from '../limits.ts'
import { RecordGossip } from './record-gossip.ts'
import { RecordIntake } from './record-intake.ts'
import type { RecordNode } from './record-node.ts'
import { PROTOCOL_VERSION } from '../protocol-version.ts'
import { MAX_KNOWN_DIGESTS, packDigests, unpackDigests } from './record-digest.ts'
import { RecordStore } from './record-store.ts'

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
/** The most bytes of records in one answer, some thousands: it bounds what a peer can make another one verify. */
const MAX_ANSWER_BYTES = 16 << 20
/** Bytes of a header kept free for all fields besides the records. */
const HEADER_RESERVE_BYTES = 1024

/**
 * Passes signed server records between peers: `info` asks a peer for all records that it knows, `announce` sends a peer
 * one's own, and `gossip` spreads changes. Every node keeps the records that it hears of and relays the gossip about
 * models that it knows. So a bootstrap node, which serves nothing, connects the others.
 */
export class RecordExchange {
  readonly store: RecordStore
  readonly intake: RecordIntake
  readonly gossip: RecordGossip
  readonly #node: RecordNode
  readonly #version: string
  /** The users that have started the exchange: a server and a client may share one node. */
  readonly #users = new Set<object>()
  #release: (() => void)[] = []

  constructor(node: RecordNode, { version, now = Date.now }: RecordExchangeOptions) {
    this.#node = node
    this.#version = version
    this.store = new RecordStore({ verifier: node.verifier, now })
    this.intake = new RecordIntake({ node, store: this.store, now })
    this.gossip = new RecordGossip({ node, store: this.store, intake: this.intake })
  }

  /**
   * Starts the exchange for a user; it runs until all users have stopped it. Needs a started node, and must be called
   * again after the node was stopped and started.
   */
  async start(user: object = this): Promise<void> {
    this.#users.add(user)
    if (this.#release.length > 0) return
    this.#release = [
      this.store.onModel((modelKey, known) => (known ? this.gossip.join(modelKey) : this.gossip.leave(modelKey))),
      this.#node.connections.onDisconnect((peerId) => this.store.markGone(peerId)),
    ]
    for (const modelKey of this.store.modelKeys) this.gossip.join(modelKey)
    await this.#node.handle('info', (stream) => this.#serveInfo(stream))
    await this.#node.handle('announce', (stream) => this.#serveAnnounce(stream))
  }

  /** Stops the exchange for a user. May also be called after the node was stopped. */
  async stop(user: object = this): Promise<void> {
    this.#users.delete(user)
    if (this.#release.length === 0 || this.#users.size > 0) return
    for (const release of this.#release.splice(0)) release()
    for (const modelKey of this.store.modelKeys) this.gossip.leave(modelKey)
    await this.#node.unhandle('info')
    await this.#node.unhandle('announce')
  }

  /**
   * Asks a peer for all records of a model ('' for all models) that are not known here, and keeps the valid ones.
   * Throws as `SwarmNode.open`, and `SWARM_SIGNATURE` for a record that nobody can have believed.
   */
  async ask(peer: PeerTarget, modelKey: string, signal?: AbortSignal): Promise<InfoAnswer> {
    return await this.#request(peer, 'info', signal, async (stream, signal) => {
      this.intake.noteMet(peer.peerId)
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
        answer.numNew += await this.intake.addAll(records, peer.peerId)
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

  async #serveInfo(stream: ServedStream<'info'>): Promise<void> {
    const request = await stream.receive({ timeoutMs: REQUEST_TIMEOUT_MS })
    if (request === null) return
    // Asked before the records are read: what arrives later is gossiped to the peer.
    const gossips = this.gossip.reaches(stream.remotePeer, request.modelKey)
    const known = request.known === undefined ? undefined : unpackDigests(request.known)
    for (const records of batches(this.store.signed(request.modelKey, known))) {
      await stream.send({ kind: 'info', version: this.#version, protocol: PROTOCOL_VERSION, records, gossips })
    }
  }

  async #serveAnnounce(stream: ServedStream<'announce'>): Promise<void> {
    const request = await stream.receive({ timeoutMs: REQUEST_TIMEOUT_MS })
    if (request === null) return
    const { record } = request
    const from = stream.remotePeer
    const announced = await this.intake.verify(record, from)
    if (announced.peerId !== from)
      throw new SwarmError('SWARM_RECORD', `peer ${from} announces a record of ${announced.peerId}`)
    const isNew = this.intake.keep(announced, record, from)
    await stream.send({ kind: 'announced', isNew })
  }
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
