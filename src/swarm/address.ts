import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { SwarmError } from './errors.ts'

/**
 * A peer and the addresses at which to dial it. Without addresses the peer can be reached only over an open connection
 * or if the DHT knows it.
 */
export interface PeerTarget {
  peerId: string
  multiaddrs: readonly string[]
}

const MAX_PORT = 65_535

const EXAMPLE = '/ip4/192.0.2.1/tcp/24640/p2p/12D3KooW…'

/** Parses a multiaddr. Throws `SWARM_ADDRESS`. */
export function parseAddress(text: string): Multiaddr {
  try {
    return multiaddr(text)
  } catch (error) {
    const port = /\/tcp\/(\d+)/.exec(text)?.[1]
    if (port !== undefined && Number(port) > MAX_PORT) {
      const message = `the address ${text} names port ${port}: expected one from 0 to ${MAX_PORT}`
      throw new SwarmError('SWARM_ADDRESS', message, { cause: error })
    }
    throw new SwarmError('SWARM_ADDRESS', `${JSON.stringify(text)} is no multiaddr: write it like ${EXAMPLE}`, {
      cause: error,
    })
  }
}

/** Parses a multiaddr that ends with the peer's id. Throws `SWARM_ADDRESS`, also if the `/p2p/` part is missing. */
export function parsePeerAddress(text: string): PeerTarget {
  const peerId = parseAddress(text)
    .getComponents()
    .findLast(({ name }) => name === 'p2p')?.value
  if (peerId === undefined) {
    throw new SwarmError(
      'SWARM_ADDRESS',
      `the address ${text} does not say whose it is: end it with the peer's id, like ${EXAMPLE}`,
    )
  }
  return { peerId, multiaddrs: [text] }
}

/** The protocols of a multiaddr that name a host. */
const HOST_PROTOCOLS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/** Whether an address names a host and a TCP port, and nothing beyond them but whose it is. */
export function isTcpAddress(address: Multiaddr): boolean {
  const [host, port, peer, ...more] = address.getComponents()
  if (host === undefined || port === undefined || !HOST_PROTOCOLS.has(host.name) || port.name !== 'tcp') return false
  return (peer === undefined || peer.name === 'p2p') && more.length === 0
}

/** The host of an address: an IP address or a name; undefined if it has none. */
export function hostOf(address: Multiaddr): string | undefined {
  return address.getComponents().find(({ name }) => HOST_PROTOCOLS.has(name))?.value
}

/** Checks an address to listen on or to announce. Throws `SWARM_ADDRESS` if it is no TCP address. */
export function checkTcpAddress(text: string): void {
  if (isTcpAddress(parseAddress(text))) return
  throw new SwarmError(
    'SWARM_ADDRESS',
    `the address ${text} is not of the form /ip4/ADDRESS/tcp/PORT, like /ip4/0.0.0.0/tcp/24640; ` +
      'ip6, dns, dns4 and dns6 may stand for ip4',
  )
}

/** Parses addresses and makes one target of all addresses of a peer. Throws `SWARM_ADDRESS`. */
export function groupByPeer(addresses: readonly string[]): PeerTarget[] {
  const targets = new Map<string, string[]>()
  for (const address of addresses) {
    const { peerId } = parsePeerAddress(address)
    targets.set(peerId, [...(targets.get(peerId) ?? []), address])
  }
  return [...targets].map(([peerId, multiaddrs]) => ({ peerId, multiaddrs }))
}

/** A target's addresses, each ending with the peer's id. Throws `SWARM_ADDRESS`, also for an invalid peer id. */
export function dialAddresses({ peerId, multiaddrs }: PeerTarget): Multiaddr[] {
  parsePeerId(peerId)
  return multiaddrs.map((text) => {
    const address = parseAddress(text)
    const named = address.getComponents().some(({ name }) => name === 'p2p')
    return named ? address : address.encapsulate(`/p2p/${peerId}`)
  })
}

/** Parses a peer id. Throws `SWARM_ADDRESS`. */
export function parsePeerId(peerId: string): ReturnType<typeof peerIdFromString> {
  try {
    return peerIdFromString(peerId)
  } catch (error) {
    throw new SwarmError('SWARM_ADDRESS', `${JSON.stringify(peerId)} is no peer id`, { cause: error })
  }
}

/** Whether a text is a peer id. */
export function isPeerId(text: string): boolean {
  try {
    parsePeerId(text)
    return true
  } catch {
    return false
  }
}

/** Whether all addresses are loopback addresses. */
export function isLoopbackOnly(addresses: readonly string[]): boolean {
  return addresses.every((address) => address.startsWith('/ip4/127.') || address.startsWith('/ip6/::1/'))
}
