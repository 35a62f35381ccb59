import { createHash } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { parsePeerAddress } from '../address.ts'
import { SwarmError } from '../errors.ts'
import { SWARM_KEY_BYTES } from '../guards/swarm-key.ts'

/** What one needs to join a swarm: addresses of peers and, if it is private, its key. */
export interface Joining {
  /** Multiaddrs with `/p2p/`. */
  readonly addresses: readonly string[]
  /** The 32 bytes of a private swarm's key. */
  readonly swarmKey?: Uint8Array | undefined
}

/** What a token begins with; addresses begin with a slash. */
const PREFIX = 'petals-'

/** The first byte: how the rest is written. */
const OPEN = 1
const PRIVATE = 2

const CHECKSUM_BYTES = 4
const MAX_ADDRESSES = 16
const MAX_TOKEN_CHARS = 4096

/** Whether a text is meant to be a join token. */
export function isJoinToken(text: string): boolean {
  return text.startsWith(PREFIX)
}

/**
 * Addresses and key in one text, `petals-` and base64url: a byte for its kind, the key, each address with its length
 * before it, and the first bytes of a SHA-256 of all that. Who has the token of a private swarm is in. Throws
 * `SWARM_ADDRESS`.
 */
export function encodeJoinToken({ addresses, swarmKey }: Joining): string {
  if (addresses.length === 0 || addresses.length > MAX_ADDRESSES)
    throw new SwarmError('SWARM_ADDRESS', `a join token takes 1 to ${MAX_ADDRESSES} addresses, not ${addresses.length}`)
  const parts = addresses.flatMap((address) => {
    parsePeerAddress(address)
    const { bytes } = multiaddr(address)
    if (bytes.length > 255) throw new SwarmError('SWARM_ADDRESS', `the address ${address} is too long for a join token`)
    return [Uint8Array.of(bytes.length), bytes]
  })
  const content = Buffer.concat(
    [Uint8Array.of(swarmKey === undefined ? OPEN : PRIVATE), swarmKey ?? [], ...parts].map((part) =>
      Uint8Array.from(part),
    ),
  )
  return PREFIX + Buffer.concat([content, checksum(content)]).toString('base64url')
}

/** Reads a join token. Throws `SWARM_TOKEN` for one that is damaged, without naming what is in it. */
export function decodeJoinToken(text: string): Joining {
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
  const content = bytes.subarray(0, -CHECKSUM_BYTES)
  const isWhole =
    isJoinToken(text) && text.length <= MAX_TOKEN_CHARS && checksum(content).equals(bytes.subarray(-CHECKSUM_BYTES))
  const kind = content[0]
  if (!isWhole) throw damaged('it is not whole')
  if (kind !== OPEN && kind !== PRIVATE) throw damaged('this version does not know its kind')
  const start = 1 + (kind === PRIVATE ? SWARM_KEY_BYTES : 0)
  return {
    addresses: readAddresses(content.subarray(start)),
    ...(kind === PRIVATE && { swarmKey: Uint8Array.from(content.subarray(1, start)) }),
  }
}

/**
 * The addresses and the key that a list of addresses and join tokens, and maybe a key of its own, stand for. Throws
 * `SWARM_TOKEN`, and `SWARM_KEY` for two keys that differ.
 */
export function resolveJoining(bootstrap: readonly string[], swarmKey?: Uint8Array): Joining {
  const tokens = bootstrap.filter(isJoinToken).map(decodeJoinToken)
  const keys = [swarmKey, ...tokens.map((token) => token.swarmKey)].filter((key) => key !== undefined)
  if (keys.some((key) => !Buffer.from(key).equals(keys[0]!)))
    throw new SwarmError(
      'SWARM_KEY',
      'two different swarm keys are given, in join tokens or a file: they are of different swarms',
    )
  const addresses = [...bootstrap.filter((text) => !isJoinToken(text)), ...tokens.flatMap((token) => token.addresses)]
  return { addresses: [...new Set(addresses)], swarmKey: keys[0] }
}

function readAddresses(bytes: Uint8Array): string[] {
  const addresses: string[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes[at]!
    addresses.push(readAddress(bytes.subarray(at + 1, end)))
    at = end
  }
  return addresses
}

function readAddress(bytes: Uint8Array): string {
  try {
    return multiaddr(bytes).toString()
  } catch (error) {
    throw damaged('it holds what is no address', error)
  }
}

function checksum(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM_BYTES)
}

function damaged(what: string, cause?: unknown): SwarmError {
  return new SwarmError(
    'SWARM_TOKEN',
    `the join token cannot be read: ${what}; copy it once more from "petals-node invite"`,
    { cause },
  )
}
