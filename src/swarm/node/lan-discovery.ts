import { createHash } from 'node:crypto'
import type { MulticastDNS, QueryPacket, ResponsePacket } from 'multicast-dns'
import { multiaddr } from '@multiformats/multiaddr'
import { orAborted } from '../../base/abort.ts'
import { errorMessage } from '../../base/errors.ts'
import { hostOf, isTcpAddress, parsePeerAddress, type PeerTarget } from '../address.ts'
import type { SwarmLogger } from '../logger.ts'

/** How peers of the same network are looked for. */
export interface LanOptions {
  /** The IPv4 address of the network interface to use; all of them unless told. */
  readonly interface?: string | undefined
}

/** What the discovery needs of its node. */
export interface LanModules {
  readonly peerId: string
  readonly swarmKey: Uint8Array | undefined
  /** Addresses, with `/p2p/`, to tell others; empty for a node that only dials. */
  readonly addresses: () => readonly string[]
  readonly onPeer: (target: PeerTarget) => void
  readonly logger: SwarmLogger
}

/**
 * Pauses between questions. They are shorter soon after the start: a swarm is usually started by one person within a
 * minute.
 */
const ASK_MS = [0, 500, 1000, 2000, 5000]
const ASK_LATER_MS = 20_000

const TTL_SECONDS = 120
const TEXT = 'dnsaddr='

/** The longest string of a TXT record (RFC 1035, 3.3.14). */
const MAX_TEXT = 255

/** How many addresses of a peer are told, and how many peers are taken. */
const MAX_ADDRESSES = 8
const MAX_PEERS = 16

/**
 * Finds nodes of the same swarm in the same network, by questions that go to all of its machines (multicast DNS,
 * RFC 6762), and answers theirs. A private swarm asks under a name that follows from its key. Of an answer only
 * addresses of the machine that sent it are taken, so that nobody can have this node dial a third.
 */
export class LanDiscovery {
  readonly #modules: LanModules
  readonly #options: LanOptions
  readonly #service: string
  readonly #found = new Set<string>()
  readonly #first = Promise.withResolvers<void>()
  #mdns: MulticastDNS | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(modules: LanModules, options: LanOptions) {
    this.#modules = modules
    this.#options = options
    this.#service = serviceName(modules.swarmKey)
  }

  /** Waits until a peer is found, `timeoutMs` at most. Throws the signal's reason. */
  async first(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const timer = setTimeout(() => this.#first.resolve(), timeoutMs)
    try {
      await orAborted(this.#first.promise, signal)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Asks now and from time to time, and answers, until `stop`. */
  async start(): Promise<void> {
    const { interface: chosen } = this.#options
    const { default: makeMdns } = await import('multicast-dns')
    // Bound to all addresses, since packets for a group do not arrive at a socket of one of them.
    const mdns = makeMdns({ bind: '0.0.0.0', ...(chosen !== undefined && { interface: chosen }) })
    this.#mdns = mdns
    mdns.on('query', (packet) => this.#answer(packet))
    mdns.on('response', (packet, { address }) => this.#take(packet, address))
    const { logger } = this.#modules
    mdns.on('warning', (error) => logger.debug({ reason: errorMessage(error) }, 'a packet of multicast DNS is no use'))
    mdns.on('error', (error) => logger.warn({ reason: errorMessage(error) }, 'the local network cannot be asked'))
    this.#ask(0)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    const mdns = this.#mdns
    this.#mdns = undefined
    if (mdns !== undefined) await new Promise<void>((resolve) => mdns.destroy(resolve))
  }

  #ask(count: number): void {
    this.#timer = setTimeout(() => {
      this.#mdns?.query({ questions: [{ name: this.#service, type: 'PTR' }] })
      this.#ask(count + 1)
    }, ASK_MS[count] ?? ASK_LATER_MS)
    this.#timer.unref()
  }

  #answer({ questions = [] }: QueryPacket): void {
    if (!questions.some(({ name }) => name === this.#service)) return
    const addresses = this.#modules.addresses().filter((address) => TEXT.length + address.length <= MAX_TEXT)
    if (addresses.length === 0) return
    const name = `${this.#modules.peerId}.${this.#service}`
    this.#mdns?.respond({
      answers: [{ name: this.#service, type: 'PTR', ttl: TTL_SECONDS, data: name }],
      additionals: addresses
        .slice(0, MAX_ADDRESSES)
        .map((address) => ({ name, type: 'TXT', ttl: TTL_SECONDS, data: TEXT + address })),
    })
  }

  #take({ answers = [], additionals = [] }: ResponsePacket, sender: string): void {
    const instances = answers.flatMap((answer) =>
      answer.type === 'PTR' && answer.name === this.#service ? [answer.data] : [],
    )
    for (const instance of instances) {
      const peerId = instance.slice(0, -this.#service.length - 1)
      const texts = [...answers, ...additionals].flatMap((answer) =>
        answer.type === 'TXT' && answer.name === instance ? [answer.data].flat().map(String) : [],
      )
      const multiaddrs = texts.slice(0, MAX_ADDRESSES).flatMap((text) => addressIn(text, peerId, sender) ?? [])
      if (peerId === this.#modules.peerId || multiaddrs.length === 0) continue
      if (this.#found.has(peerId) || this.#found.size >= MAX_PEERS) continue
      this.#found.add(peerId)
      this.#modules.onPeer({ peerId, multiaddrs })
      this.#first.resolve()
    }
  }
}

/** The name under which a swarm's nodes ask. What follows from the key does not give it away. */
function serviceName(swarmKey: Uint8Array | undefined): string {
  if (swarmKey === undefined) return '_petals._udp.local'
  const digest = createHash('sha256').update('petals-node lan ').update(swarmKey).digest('hex')
  return `_petals-${digest.slice(0, 8)}._udp.local`
}

/** The address in a record's text, if it is one of `peerId` on the machine that sent it. */
function addressIn(text: string, peerId: string, sender: string): string | undefined {
  if (!text.startsWith(TEXT) || text.length > MAX_TEXT) return undefined
  try {
    const address = text.slice(TEXT.length)
    const parsed = multiaddr(address)
    const isItsOwn = isTcpAddress(parsed) && hostOf(parsed) === sender && parsePeerAddress(address).peerId === peerId
    return isItsOwn ? address : undefined
  } catch {
    return undefined
  }
}
