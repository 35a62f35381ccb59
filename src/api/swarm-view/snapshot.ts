/*
 * What /swarm.json tells, and each event of /swarm/events: the swarm as this node sees it. The pages read it, too, so
 * this file imports nothing. Times are in milliseconds since 1970, spans are blocks `start` to `end` (not included).
 */

export interface SwarmSnapshot {
  readonly at: number
  readonly node: NodeSnapshot
  readonly models: readonly ModelSnapshot[]
  /** What has happened of late, the latest first. */
  readonly happenings: readonly Happening[]
}

/** The node that answers, and how busy it is. */
export interface NodeSnapshot {
  readonly peerId: string
  readonly version: string
  readonly uptimeSeconds: number
  /** Peers that it is connected with. */
  readonly peers: number
  /** Cores that its process keeps busy: 0.5 is half of one. */
  readonly busyCores: number
  readonly memoryBytes: number
  /** Requests that are being answered, and that wait for their turn. */
  readonly running: number
  readonly waiting: number
  /** Of a node that serves as well. */
  readonly serving?: ServingSnapshot | undefined
  /** A word on clocks that are off. */
  readonly clock?: string | undefined
}

export interface ServingSnapshot {
  readonly sessions: number
  readonly cacheTokens: number
  readonly cacheTokensLeft: number
}

export interface ModelSnapshot {
  /** The name under which the API answers for it. */
  readonly id: string
  readonly modelKey: string
  readonly numBlocks: number
  /** For each block, how many servers that are ONLINE and answer hold it. */
  readonly holders: readonly number[]
  /** For each block, the tokens per second of these servers together. */
  readonly rates: readonly number[]
  /** Spans that nobody holds, as START:END. */
  readonly missing: readonly string[]
  readonly servers: readonly ServerSnapshot[]
}

export interface ServerSnapshot {
  readonly peerId: string
  readonly name?: string | undefined
  /** Whether it is the node that answers. */
  readonly isOwn: boolean
  readonly start: number
  readonly end: number
  readonly state: 'JOINING' | 'ONLINE' | 'DRAINING' | 'OFFLINE'
  /** Whether it answered when it was last asked. */
  readonly answers: boolean
  /** Whether it is avoided just now, because it has failed. */
  readonly isAvoided: boolean
  readonly movingTo?: number | undefined
  readonly device: string
  readonly dtype: string
  readonly quant: string
  readonly kvDType: string
  /** Tokens per second of one session through its span. */
  readonly throughput: number
  readonly queueMs: number
  readonly cacheTokens: number
  readonly cacheTokensLeft: number
  readonly roundTripMs?: number | undefined
  readonly reachable?: boolean | undefined
  readonly version: string
  readonly adapters: readonly string[]
}

/** Something that has happened in the swarm of a model. */
export type Happening = { readonly at: number; readonly model: string } & (
  | { readonly kind: 'joined' | 'left' | 'vanished' | 'returned'; readonly server: ServerName; readonly blocks: string }
  | { readonly kind: 'moved'; readonly server: ServerName; readonly from: string; readonly blocks: string }
  | { readonly kind: 'state'; readonly server: ServerName; readonly state: ServerSnapshot['state'] }
  | { readonly kind: 'uncovered' | 'covered'; readonly blocks: string }
  /** A session went on after it had lost servers. */
  | {
      readonly kind: 'recovery'
      readonly lost: readonly ServerName[]
      readonly seconds: number
      readonly replayedTokens: number
    }
  /** A session waits for servers. */
  | { readonly kind: 'waiting'; readonly blocks: string }
)

export interface ServerName {
  readonly peerId: string
  readonly name?: string | undefined
}
