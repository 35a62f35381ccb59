import { RPCS, type Rpc } from '../limits.ts'

/** Counts of one rpc's streams since the node was created. */
export interface RpcTraffic {
  framesSent: number
  framesReceived: number
  bytesSent: number
  bytesReceived: number
  /** Streams refused because the peer had too many open. */
  refused: number
}

/** Counters of one rpc, all 0. */
export function newTraffic(): RpcTraffic {
  return { framesSent: 0, framesReceived: 0, bytesSent: 0, bytesReceived: 0, refused: 0 }
}

/** Counts of all rpcs. */
export type Traffic = Readonly<Record<Rpc, RpcTraffic>>

/** Counters of every rpc, all 0. */
export function trafficByRpc(): Traffic {
  return Object.fromEntries(RPCS.map((rpc) => [rpc, newTraffic()])) as Record<Rpc, RpcTraffic>
}
