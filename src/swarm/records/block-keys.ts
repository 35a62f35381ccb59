import { createHash } from 'node:crypto'
import type { SingleKadDHT } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { pause, withDeadline } from '../deadline.ts'
import { recordKey } from './dht-records.ts'
import type { RecordNode } from './record-node.ts'

const RAW_CODEC = 0x55
const SHA256_CODE = 0x12

/**
 * The time limit of a DHT lookup. With a frozen peer in the routing table a lookup takes 5 s or more, but its first
 * answers come at once.
 */
const FIND_TIMEOUT_MS = 3000
const FIND_GRACE_MS = 200
/**
 * Blocks that are provided to the DHT at a time. All 32 blocks of a server at once would keep two cores busy for 6 s.
 */
const PROVIDE_PARALLELISM = 4
const PROVIDE_TIMEOUT_MS = 30_000
const TABLE_WAIT_MS = 10_000
const TABLE_POLL_MS = 50

/** The key in the DHT for one block of a model. */
export function blockKey(modelKey: string, block: number): CID {
  const digest = createHash('sha256').update(`${modelKey}.${block}`).digest()
  return CID.createV1(RAW_CODEC, createDigest(SHA256_CODE, digest))
}

/**
 * Discovery by the DHT: peers enter themselves under the keys of the blocks that they hold. It is slow and its entries
 * are kept by other peers; it serves for first contact and for blocks that no known server holds.
 */
export class BlockKeys {
  readonly #node: RecordNode
  readonly #modelKey: string
  readonly #provided = new Set<number>()
  #providing = new AbortController()

  constructor(node: RecordNode, modelKey: string) {
    this.#node = node
    this.#modelKey = modelKey
  }

  /** The number of blocks that this node has entered itself for. */
  get numProvided(): number {
    return this.#provided.size
  }

  /**
   * Enters this node as holder of blocks `start` to `end`, and withdraws it from other blocks. The DHT repeats entries
   * itself. Resolves when all is done, which may take long, or when `stop` is called; never rejects.
   */
  async provide(start: number, end: number): Promise<void> {
    this.#providing.abort()
    this.#providing = new AbortController()
    const { signal } = this.#providing
    for (const block of this.#provided) if (block < start || block >= end) await this.#withdraw(block)
    const missing: number[] = []
    for (let block = start; block < end; block += 1) if (!this.#provided.has(block)) missing.push(block)
    if (missing.length === 0 || !(await this.#waitForTable(signal))) return
    const worker = async () => {
      for (let block = missing.shift(); block !== undefined && !signal.aborted; block = missing.shift()) {
        await this.#provideOne(block, signal)
      }
    }
    await Promise.all(Array.from({ length: PROVIDE_PARALLELISM }, worker))
  }

  stop(): void {
    this.#providing.abort()
    this.#provided.clear()
  }

  /** Stores this node's signed record in the DHT. Failures are only logged. */
  async put(record: Uint8Array): Promise<void> {
    await this.#quietly('put', (signal) =>
      this.#node.libp2p.contentRouting.put(recordKey(this.#modelKey, this.#node.peerId), record, { signal }),
    )
  }

  /** A peer's signed record; undefined if the DHT has none. */
  async get(peerId: string): Promise<Uint8Array | undefined> {
    return await this.#quietly(
      'get',
      (signal) => this.#node.libp2p.contentRouting.get(recordKey(this.#modelKey, peerId), { signal }),
      FIND_TIMEOUT_MS,
    )
  }

  /**
   * Peers that the DHT lists as holders of a block: the first answers, and those that come shortly after. Entries may
   * be of servers that vanished hours ago.
   */
  async find(block: number, signal?: AbortSignal): Promise<PeerTarget[]> {
    const found = new Map<string, PeerTarget>()
    const grace = new AbortController()
    await withDeadline('looking up a block', FIND_TIMEOUT_MS, signal, async (signal) => {
      const query = AbortSignal.any([signal, grace.signal])
      for await (const { id, multiaddrs } of this.#node.libp2p.contentRouting.findProviders(
        blockKey(this.#modelKey, block),
        { signal: query },
      )) {
        if (found.size === 0) setTimeout(() => grace.abort(), FIND_GRACE_MS)
        const peerId = id.toString()
        const addresses = new Set([...(found.get(peerId)?.multiaddrs ?? []), ...multiaddrs.map(String)])
        if (peerId !== this.#node.peerId) found.set(peerId, { peerId, multiaddrs: [...addresses] })
        if (grace.signal.aborted) break
      }
    }).catch((error: unknown) => {
      signal?.throwIfAborted()
      if (!grace.signal.aborted) this.#log('find', error)
    })
    return [...found.values()]
  }

  async #provideOne(block: number, signal: AbortSignal): Promise<void> {
    const done = await this.#quietly(
      'provide',
      async (deadline) => {
        await this.#node.libp2p.contentRouting.provide(blockKey(this.#modelKey, block), { signal: deadline })
        return true
      },
      PROVIDE_TIMEOUT_MS,
      signal,
    )
    if (done === true) this.#provided.add(block)
  }

  async #withdraw(block: number): Promise<void> {
    this.#provided.delete(block)
    await this.#quietly('withdraw', () =>
      this.#node.libp2p.contentRouting.cancelReprovide(blockKey(this.#modelKey, block)),
    )
  }

  /**
   * Waits until the DHT's routing table has peers: right after connecting it is empty, and entries would reach nobody.
   * False if the signal was aborted, or the node stopped.
   */
  async #waitForTable(signal: AbortSignal): Promise<boolean> {
    if (this.#node.bootstrapPeers.length === 0) return true
    for (let waitedMs = 0; waitedMs < TABLE_WAIT_MS; waitedMs += TABLE_POLL_MS) {
      const size = routingTableSize(this.#node)
      if (size !== 0) return size !== undefined
      if (!(await pause(TABLE_POLL_MS, signal))) return false
    }
    return true
  }

  async #quietly<T>(
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeoutMs = PROVIDE_TIMEOUT_MS,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await withDeadline(`DHT ${what}`, timeoutMs, signal, work)
    } catch (error) {
      this.#log(what, error)
      return undefined
    }
  }

  #log(what: string, error: unknown): void {
    this.#node.logger.debug({ what, reason: errorMessage(error) }, 'a DHT request failed')
  }
}

/**
 * The size of the DHT's routing table; undefined once the node has been stopped. The object always has one, but the
 * type that its factory returns does not say so.
 */
function routingTableSize(node: RecordNode): number | undefined {
  if (!node.isStarted) return undefined
  return (node.libp2p.services.dht as SingleKadDHT).routingTable.size
}
