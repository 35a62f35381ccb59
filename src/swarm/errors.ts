import { PetalsError } from '../base/errors.ts'

/** What can go wrong between peers; the documentation lists every code. */
export type SwarmErrorCode =
  | 'SWARM_ADDRESS' // a multiaddr that cannot be used
  | 'SWARM_BACKLOG' // too many frames wait to be sent on one stream
  | 'SWARM_BUSY' // the peer takes too much of this node already: streams, or memory
  | 'SWARM_FRAME' // bytes that are no valid frame, or a frame over the limits
  | 'SWARM_HANDSHAKE' // a peer was reached, but the two could not agree to talk: another swarm key?
  | 'SWARM_IDENTITY' // an identity file that cannot be read or written
  | 'SWARM_KEY' // a swarm key file that is none
  | 'SWARM_LISTEN' // an address that cannot be listened on
  | 'SWARM_PROTOCOL' // the peer does not speak this protocol
  | 'SWARM_RECORD' // a server record that is malformed or falsely signed
  | 'SWARM_RECORD_TIME' // a server record that has expired, or whose times make no sense
  | 'SWARM_REFUSED' // this node does not serve the peer
  | 'SWARM_SELF' // dialling oneself
  | 'SWARM_SIGNATURE' // a server record whose signature is not that of the peer that it is about
  | 'SWARM_STATE' // a call that needs a started node, or an open stream
  | 'SWARM_STREAM_LOST' // the stream ended without its last frame: the peer died or gave up
  | 'SWARM_TIMEOUT' // the peer did not answer, or did not take bytes, in time
  | 'SWARM_TOKEN' // a join token that is damaged
  | 'SWARM_TOO_LARGE' // a message of this node that no peer would take
  | 'SWARM_UNREACHABLE' // no address of the peer could be dialled
  | 'SWARM_VERSION' // the peer speaks another version of the protocol

/** An error between peers, or in what a node needs to be one. */
export class SwarmError extends PetalsError {
  override readonly code: SwarmErrorCode

  constructor(code: SwarmErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
    this.code = code
  }
}

/** Text from a peer made safe to print: without control and direction characters, and cut to `maxChars`. */
export function cleanText(text: string, maxChars: number): string {
  const clean = text
    .slice(0, maxChars * 2)
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
  return clean.length > maxChars ? `${clean.slice(0, maxChars)}…` : clean
}
