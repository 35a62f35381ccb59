import { UsageError, errorMessage } from '../../base/errors.ts'
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

/** Throws `USAGE` if an address of --bootstrap lacks a TCP address or a peer id. */
export function checkBootstrap(addresses: readonly string[]): void {
  for (const address of addresses) check('--bootstrap', () => parsePeerAddress(address))
}

/** Throws `USAGE`, naming the option `flag`, for what is no peer id. */
export function checkPeerIds(flag: string, peerIds: readonly string[]): void {
  for (const peerId of peerIds) check(flag, () => parsePeerId(peerId))
}

/** Throws `USAGE`, explaining how to join a swarm, if no bootstrap peer was given. */
export function requireBootstrap(addresses: readonly string[]): void {
  if (addresses.length === 0) {
    throw new UsageError(
      'which swarm? Give --bootstrap the address of one of its nodes; ' +
        '"petals-node serve" starts a swarm and logs its address, "petals-node demo" shows a small one on this machine',
    )
  }
  checkBootstrap(addresses)
}

function check(flag: string, parse: () => unknown): void {
  try {
    parse()
  } catch (error) {
    throw new UsageError(`${flag}: ${errorMessage(error)}`, { cause: error })
  }
}
