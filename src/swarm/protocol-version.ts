/**
 * The version of the request protocols, of records and of frames. Peers whose first numbers differ do not understand
 * each other.
 */
export const PROTOCOL_VERSION = '3.3.0'

/** The last part of every libp2p protocol's name; equal for all versions that understand each other. */
export const PROTOCOL_SUFFIX = `${major(PROTOCOL_VERSION)}.0.0`

/** The version of peers that do not say theirs. */
const UNSAID_VERSION = '1.0.0'

/** Whether a peer with this protocol version and this node understand each other. */
export function isCompatible(protocol = UNSAID_VERSION): boolean {
  return major(protocol) === major(PROTOCOL_VERSION)
}

/** Whether a peer with this protocol version knows what came with `version`, one of this node's first number. */
export function knows(protocol: string | undefined, version: `${number}.${number}.0`): boolean {
  return isCompatible(protocol) && minor(protocol!) >= minor(version)
}

/** A sentence about a peer with another version, with what to do about it. */
export function mismatchText(peerId: string, protocol = UNSAID_VERSION): string {
  const cure = major(protocol) > major(PROTOCOL_VERSION) ? 'update petals-node here' : 'update petals-node there'
  return `peer ${peerId} speaks protocol version ${protocol}, this node ${PROTOCOL_VERSION}: ${cure}`
}

function major(version: string): number {
  return Number.parseInt(version, 10)
}

function minor(version: string): number {
  return Number.parseInt(version.split('.')[1] ?? '0', 10)
}
