/**
 * The version of the request protocols, of records and of frames. A first number that differs says that nothing fits.
 */
export const PROTOCOL_VERSION = '2.0.0'

/** The end of every libp2p protocol's name: the same for all versions that understand each other. */
export const PROTOCOL_SUFFIX = `${major(PROTOCOL_VERSION)}.0.0`

/** The version of whoever does not say. */
const UNSAID_VERSION = '1.0.0'

/** Whether a peer of that protocol version and this node understand each other. */
export function isCompatible(protocol = UNSAID_VERSION): boolean {
  return major(protocol) === major(PROTOCOL_VERSION)
}

/** One sentence on a peer that speaks another version, with the cure. */
export function mismatchText(peerId: string, protocol = UNSAID_VERSION): string {
  const cure = major(protocol) > major(PROTOCOL_VERSION) ? 'update petals-node here' : 'update petals-node there'
  return `peer ${peerId} speaks protocol version ${protocol}, this node ${PROTOCOL_VERSION}: ${cure}`
}

function major(version: string): number {
  return Number.parseInt(version, 10)
}
