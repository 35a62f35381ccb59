import { UsageError, errorMessage } from '../../base/errors.ts'
import type { LanOptions } from '../../swarm/node/lan-discovery.ts'
import { decodeJoinToken, isJoinToken } from '../../swarm/node/join-token.ts'
import { checkTcpAddress, parsePeerAddress, parsePeerId } from '../../swarm/address.ts'

/** Throws `USAGE`, naming the option `flag`, if an address is no TCP multiaddr. */
export function checkTcpAddresses(flag: string, addresses: readonly string[]): void {
  for (const address of addresses) check(flag, () => checkTcpAddress(address))
}

/** The multiaddrs that a node listens on, by --port or --listen. Throws `USAGE`. */
export function listenAddresses({
  port,
  listen,
}: {
  readonly port?: number | undefined
  readonly listen: readonly string[]
}): readonly string[] {
  if (port !== undefined) return [`/ip4/0.0.0.0/tcp/${port}`]
  checkTcpAddresses('--listen', listen)
  return listen
}

/** Throws `USAGE` if what --bootstrap is given is neither an address with a peer id nor a join token. */
export function checkBootstrap(addresses: readonly string[]): void {
  for (const address of addresses)
    check('--bootstrap', () => (isJoinToken(address) ? decodeJoinToken(address) : parsePeerAddress(address)))
}

/** Throws `USAGE`, naming the option `flag`, for what is no peer id. */
export function checkPeerIds(flag: string, peerIds: readonly string[]): void {
  for (const peerId of peerIds) check(flag, () => parsePeerId(peerId))
}

/** How the local network is asked; undefined if it is not. */
export function lanOf({ mdns = false }: { readonly mdns?: boolean }): LanOptions | undefined {
  const { PETALS_MDNS_INTERFACE } = process.env
  return mdns ? { interface: PETALS_MDNS_INTERFACE || undefined } : undefined
}

/** Throws `USAGE`, explaining how to join a swarm, if there is no way to find a peer. */
export function requireSwarm({
  bootstrap,
  mdns,
}: {
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
}): void {
  if (bootstrap.length === 0 && !mdns) {
    throw new UsageError(
      'which swarm? Give --bootstrap the address of one of its nodes, or --mdns to find one in this network; ' +
        '"petals-node serve" starts a swarm and logs its address, "petals-node demo" shows a small one on this machine',
    )
  }
  checkBootstrap(bootstrap)
}

function check(flag: string, parse: () => unknown): void {
  try {
    parse()
  } catch (error) {
    throw new UsageError(`${flag}: ${errorMessage(error)}`, { cause: error })
  }
}
