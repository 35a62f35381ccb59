import { totalmem } from 'node:os'
import { parsePeerId } from './address.ts'
import { ByteBudget, type ByteLimits } from './byte-budget.ts'
import { DEFAULT_PEER_BYTES, DEFAULT_REQUESTS_PER_SECOND, type Rpc } from './limits.ts'
import { RateLimit } from './rate-limit.ts'

/** Whom a node serves, and what each peer may take of it. */
export interface PeerRules {
  /** Only these peers may ask it to compute; anybody where the list is empty. */
  readonly allowed?: readonly string[] | undefined
  /** These get no connection. */
  readonly blocked?: readonly string[] | undefined
  /** Bytes that one peer's requests may hold, as much again what is sent to it, and what is kept for it. */
  readonly bytes?: number | undefined
  /** Messages that one peer may send per second. */
  readonly requestsPerSecond?: number | undefined
}

/** All peers together: this share of the machine's memory, but room for a few peers. */
const MEMORY_SHARE = 1 / 4
const MIN_PEERS = 2
const MAX_PEERS = 32

/** Requests for computation. A push needs none of this: the session's name is its right. */
const COMPUTING: ReadonlySet<Rpc> = new Set(['inference', 'forward', 'probe', 'backward', 'adapter'])

/** What one peer and all peers together may hold, on either way. */
function byteLimits(perPeer = DEFAULT_PEER_BYTES): ByteLimits {
  const share = Math.floor(totalmem() * MEMORY_SHARE)
  return { perPeer, total: Math.min(MAX_PEERS * perPeer, Math.max(MIN_PEERS * perPeer, share)) }
}

/** The rules of a node as it applies them. */
export class PeerGuard {
  /** What peers' requests hold of this node's memory. */
  readonly received: ByteBudget
  /** What is on its way to peers. */
  readonly sent: ByteBudget
  readonly requests: RateLimit
  readonly #allowed: Set<string>
  readonly #isOpen: boolean
  readonly #blocked: ReadonlySet<string>

  /** Throws `SWARM_ADDRESS` for what is no peer id. */
  constructor({ allowed = [], blocked = [], bytes, requestsPerSecond }: PeerRules) {
    for (const peerId of [...allowed, ...blocked]) parsePeerId(peerId)
    const limits = byteLimits(bytes)
    this.received = new ByteBudget(limits)
    this.sent = new ByteBudget(limits)
    this.requests = new RateLimit(requestsPerSecond ?? DEFAULT_REQUESTS_PER_SECOND)
    this.#allowed = new Set(allowed)
    this.#isOpen = allowed.length === 0
    this.#blocked = new Set(blocked)
  }

  /** Whether a peer is refused in all things. */
  isBlocked(peerId: string): boolean {
    return this.#blocked.has(peerId)
  }

  /** Whether a peer may open streams of an rpc: on a node that computes for some only, others may ask for records. */
  mayAsk(peerId: string, rpc: Rpc): boolean {
    return this.#isOpen || !COMPUTING.has(rpc) || this.#allowed.has(peerId)
  }

  /** Lets a peer ask until the returned function is called. */
  allow(peerId: string): () => void {
    if (this.#allowed.has(peerId)) return () => undefined
    this.#allowed.add(peerId)
    return () => this.#allowed.delete(peerId)
  }
}
