import { lookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { hostOf } from '../address.ts'
import { hostClass } from './host-class.ts'

/** Where this node is, as its user has said. */
export interface DialGuardOptions {
  readonly listen: readonly string[]
  /** Addresses that it tells others instead of those, e.g. from within a container. */
  readonly announce: readonly string[]
  /** Addresses that the user has named as peers. */
  readonly trusted: readonly string[]
}

/**
 * Keeps other peers from making this node connect to what only this node can see. Addresses in records, in the DHT and
 * from libp2p's identify are claims of strangers. Those in private networks and on this machine are dialled only by a
 * node that listens in such a network itself, and names only if they resolve to what may be dialled. Addresses that the
 * user has named always may.
 */
export class DialGuard {
  readonly #classes: ReadonlySet<string>
  readonly #trusted = new Set<string>()
  readonly #trustedNames = new Set<string>()

  constructor({ listen, announce, trusted }: DialGuardOptions) {
    this.#classes = new Set(['public', ...networksOf(listen, announce, trusted)])
    for (const address of trusted) this.trust(address)
  }

  /** Lets an address be dialled that the user has named. */
  trust(address: string): void {
    const parsed = multiaddr(address)
    const host = hostOf(parsed)
    if (host === undefined) return
    this.#trusted.add(endpointOf(parsed))
    if (isIP(host) === 0) this.#trustedNames.add(host)
  }

  /** Whether an address may be dialled. Names may: what they resolve to is checked when they do. */
  admits(address: Multiaddr): boolean {
    const host = hostOf(address)
    if (host === undefined) return false
    return isIP(host) === 0 || this.admitsIp(host) || this.#trusted.has(endpointOf(address))
  }

  /** Whether an IP address may be dialled. */
  admitsIp(ip: string): boolean {
    return this.#classes.has(hostClass(ip))
  }

  /** Resolves a name for a socket, as `dns.lookup` does, and leaves out what may not be dialled. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    const wanted: LookupOptions = { ...options, all: true }
    lookup(hostname, wanted, (error, found) => {
      const addresses = error === null ? this.#admitted(hostname, found as LookupAddress[]) : []
      const [first] = addresses
      const reason = error ?? (first === undefined ? refused(hostname) : null)
      if (reason !== null || first === undefined) return callback(reason, '')
      if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }

  #admitted(hostname: string, found: readonly LookupAddress[]): LookupAddress[] {
    return found.filter(({ address }) => this.#trustedNames.has(hostname) || this.admitsIp(address))
  }
}

function refused(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} is a name for a network in which this node does not listen`), {
    code: 'EACCES',
  })
}

/** The networks besides the public one that a node has a part in. */
function networksOf(listen: readonly string[], announce: readonly string[], trusted: readonly string[]): string[] {
  const hosts = [...listen, ...announce].map((address) => hostOf(multiaddr(address)) ?? '')
  const here = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  const outer = here.filter(({ internal }) => !internal).map(({ address }) => address)
  const interfaces = outer.length > 0 ? outer : here.map(({ address }) => address)
  const everywhere = hosts.some((host) => host === '0.0.0.0' || host === '::')
  const own = hosts.filter((host) => isIP(host) !== 0)
  // A node that only dials is asked to dial by nobody: it goes where its machine and its bootstrap peers are.
  const named = trusted.map((address) => hostOf(multiaddr(address)) ?? '')
  const ofClient = [...interfaces, ...(named.length === 0 ? ['127.0.0.1'] : named.map(ipOf))]
  const all = hosts.length === 0 ? ofClient : [...own, ...(everywhere ? interfaces : [])]
  return all
    .filter((ip) => isIP(ip) !== 0)
    .map(hostClass)
    .filter((name) => name !== 'nowhere')
}

function ipOf(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host
}

/** The host and port of an address, whatever else it says. */
function endpointOf(address: Multiaddr): string {
  const port = address.getComponents().find(({ name }) => name === 'tcp')?.value
  return `${hostOf(address)} ${port}`
}
