// Room remote/: what a client knows of servers, and how it chooses them. Rooms, from the ground up: seen/ (what it has
// seen of servers and links), routes/ (which servers, in which order), steps/ (how much to send at once, and how long
// that may take), adapters/ (what it brings to servers).

import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { RouteFinder } from './routes/candidates.ts'
import type { LinkMeter } from './seen/link-meter.ts'
import type { RouteSpan } from './routes/route-request.ts'
import type { Slowdowns } from './seen/slowdowns.ts'

/** The part of the swarm that sessions use. */
export interface SwarmAccess {
  readonly modelKey: string
  readonly logger?: SwarmLogger | undefined
  /** Takes spans of requests. */
  readonly tracing?: Tracing | undefined
  /** This node's peer id, in case it is a server itself: its own span costs no hop. */
  readonly peerId?: string | undefined
  records(): readonly ServerRecord[]
  /** The best route whose servers have been connected to; without this, the best one by the records. */
  route?(find: RouteFinder): Promise<RouteSpan[]>
  /** Asks other peers for newer records. */
  refresh(): Promise<void>
  open<R extends 'inference' | 'control' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>>
  /** Servers that must not be used for a while, by peer id. */
  avoided(): ReadonlySet<string>
  /** A server has failed with this error. */
  avoid(peerId: string, error: Error): void
  /** A server has done its work: an earlier failure no longer counts. */
  worked?(peerId: string): void
  /** What is known of the links to servers. */
  readonly links?: LinkMeter | undefined
  /** How servers keep what their records say. */
  readonly observed?: Slowdowns | undefined
}
