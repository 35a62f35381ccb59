import type { ServerRecord } from '../../../swarm/records/record.ts'
import type { LinkMeter } from '../seen/link-meter.ts'
import type { WireChoice } from './wire-dtype.ts'

/** The blocks of a server that a session uses: its whole span or part of it. */
export interface RouteSpan {
  readonly server: ServerRecord
  readonly start: number
  readonly end: number
}

/** Tells which servers can compute with an adapter. */
export interface AdapterServers {
  /** The adapter's name, for messages. */
  readonly label: string
  servedBy(record: ServerRecord): boolean
}

/** A pass that the client carries from server to server. */
export interface PassRequest {
  readonly tokens: number
  /** Bytes of the hidden states on the wire. */
  readonly bytes: number
  /** Seconds of work that the client has given to servers already, by peer id. */
  readonly given?: ReadonlyMap<string, number> | undefined
  /** The tokens of a sequence whose gradient will be asked for: only servers that compute it are used. */
  readonly gradientTokens?: number | undefined
}

/** What a route has to satisfy. */
export interface RouteRequest {
  readonly start: number
  readonly end: number
  /** Cache that the session needs on each server, in tokens. */
  readonly tokens: number
  /** Servers, by peer id, that have lately failed this session. */
  readonly avoid: ReadonlySet<string>
  /** Digests of the weights that the session has computed with, by block. Servers with other weights are excluded. */
  readonly digests: ReadonlyMap<number, string>
  /**
   * The arithmetic class (see `arithmeticClass`) that is preferred for each block, so that a replay gives the same
   * tokens.
   */
  readonly arithmetic?: ReadonlyMap<number, string> | undefined
  /** The form in which activations are to travel; it is part of the class. */
  readonly wireDType?: WireChoice | undefined
  /** Only servers that can compute with this adapter are used. */
  readonly adapter?: AdapterServers | undefined
  /** What is known of the links to servers. */
  readonly links?: Pick<LinkMeter, 'of'> | undefined
  /** How many times as long as its record says a server took lately, by peer id. */
  readonly slowdowns?: ReadonlyMap<string, number> | undefined
  /** What the route is for: decode steps, which go from server to server, or one pass that the client carries. */
  readonly pass?: PassRequest | undefined
  /** The client's own peer id. Its own span is used within the process and takes no capacity from others. */
  readonly ownPeer?: string | undefined
}
