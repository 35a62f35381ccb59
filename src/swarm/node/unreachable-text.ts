import { errorMessage } from '../../base/errors.ts'
import { hostOf, parseAddress, type PeerTarget } from '../address.ts'
import { shortPeer } from '../short-peer.ts'

/** What the operating system calls it when an address does not answer, in words. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  EAI_AGAIN: 'names cannot be looked up just now',
  EHOSTUNREACH: 'there is no way to that machine',
  ENETUNREACH: 'there is no way to that network',
  ENOTFOUND: 'no such name is known',
  ETIMEDOUT: 'no answer came',
}

/** A peer where it was looked for: by the end of its id, since all begin alike, and its hosts and ports. */
export function peerAt({ peerId, multiaddrs }: PeerTarget): string {
  const where = multiaddrs.length === 0 ? 'without known addresses' : `at ${multiaddrs.map(placeOf).join(', ')}`
  return `peer ${shortPeer(peerId)} ${where}`
}

/** Host and port of an address, e.g. `192.0.2.1 port 24640`; the address itself where it has no such form. */
export function placeOf(address: string): string {
  const parsed = parseAddress(address)
  const host = hostOf(parsed)
  const port = parsed.getComponents().find(({ name }) => name === 'tcp')?.value
  return host === undefined || port === undefined ? address : `${host} port ${port}`
}

/** Why a dial failed: libp2p gathers the errors of a peer's addresses in an AggregateError. */
export function reasonOf(error: Error): string {
  if (error instanceof AggregateError) {
    const reasons = error.errors.map((each) => (each instanceof Error ? reasonOf(each) : errorMessage(each)))
    return [...new Set(reasons)].join('; ')
  }
  // libp2p keeps no more than the text of the system's error.
  const code = /\bE[A-Z_]{4,}\b/.exec(error.message)?.[0] ?? ''
  const reason = REASONS[code]
  return reason === undefined ? error.message : `${reason} (${code})`
}
