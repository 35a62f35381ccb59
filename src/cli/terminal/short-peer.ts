const SHOWN_CHARS = 8

/** The end of a peer id: all begin alike. */
export function shortPeer(peerId: string): string {
  return `…${peerId.slice(-SHOWN_CHARS)}`
}
