const SHOWN_CHARS = 8

/** The last characters of a peer id, since all peer ids begin alike. */
export function shortPeer(peerId: string): string {
  return `…${peerId.slice(-SHOWN_CHARS)}`
}
