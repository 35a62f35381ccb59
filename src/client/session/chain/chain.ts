// Room chain/: the servers of a session one after another, how they are opened and told of their neighbours.

import { newTrace } from '../../../swarm/node/trace.ts'
import type { SwarmAccess } from '../../remote/swarm-access.ts'
import { BlockHistory } from './block-history.ts'
import { InputLog } from '../inputs/input-log.ts'
import type { Link } from '../server/link.ts'
import { Neighbours } from './neighbours.ts'
import type { RemoteSession, RemoteSessionEvents } from '../server/remote-session.ts'
import type { ReplayMemory } from '../inputs/replay-memory.ts'
import type { SpanInputs } from '../inputs/span-inputs.ts'
import { SpanOpener, type SpanOptions } from './span-opener.ts'
import type { WatchdogOptions } from '../server/watchdog.ts'

/** Which blocks a chain is over, and what its sessions are opened with. */
export interface ChainOptions extends SpanOptions {
  /** The session's last block, not included. */
  readonly end: number
  /** Blocks at which the chain must be cut, e.g. [1, 2]; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  readonly watchdog: WatchdogOptions
  /** Bounds what is kept of spans' inputs for repairs, all sessions together. */
  readonly replayMemory: ReplayMemory
}

/** The servers that hold one session, in the order of their blocks. A link that was lost is replaced in its place. */
export class Chain {
  /** The id under which the session appears in the logs of all its servers. */
  readonly trace = newTrace()
  readonly history: BlockHistory
  readonly neighbours: Neighbours
  readonly #swarm: SwarmAccess
  readonly #options: ChainOptions
  readonly #opener: SpanOpener
  readonly #root: SpanInputs
  #links: Link[] = []
  #connected = false
  #closed = false

  /** `root` holds the inputs of the first block, which the client always has. */
  constructor(swarm: SwarmAccess, options: ChainOptions, events: RemoteSessionEvents, root: SpanInputs) {
    this.#swarm = swarm
    this.#options = options
    this.#root = root
    this.history = new BlockHistory(options.wireDType)
    this.neighbours = new Neighbours(options.watchdog)
    this.#opener = new SpanOpener(
      { swarm, events, history: this.history, trace: this.trace, traceContext: swarm.tracing?.context?.() },
      options,
    )
  }

  get links(): readonly Link[] {
    return this.#links
  }

  /** Whether every server has been told its next one. */
  get connected(): boolean {
    return this.#connected
  }

  /**
   * Opens sessions for all blocks or, in an existing chain, for those of lost links, each of which `onLost` is called
   * with. Neighbours are not connected yet.
   */
  async complete(onLost: (remote: RemoteSession) => void = () => undefined): Promise<void> {
    if (this.#links.length === 0) {
      const { cuts = [], start, end } = this.#options
      const bounds = [start, ...cuts.filter((cut) => start < cut && cut < end), end]
      await this.#openAll(
        bounds.slice(1).map((until, i) => this.#openSpans(bounds[i]!, until, i === 0 ? this.#root : this.#newLog())),
      )
    }
    const known = new Set<RemoteSession>()
    const noteLost = (remote: RemoteSession): void => {
      if (remote.lost === undefined || known.has(remote)) return
      known.add(remote)
      this.#opener.wasLost(remote.peerId, remote.lost)
      onLost(remote)
    }
    for (const { remote } of this.#links) noteLost(remote)
    for (let i = 0; i < this.#links.length; i++) {
      const { remote, inputs } = this.#links[i]!
      if (remote.lost === undefined) continue
      // It may have been lost meanwhile.
      noteLost(remote)
      const replacement = await this.#openSpans(remote.span.start, remote.span.end, inputs)
      this.#connected = false
      this.#links.splice(i, 1, ...replacement)
      i += replacement.length - 1
    }
    if (this.#closed) await this.close()
  }

  /**
   * Moves the session onto the servers of `other`, a chain over the same blocks, as far as they have room at once: on
   * the same server a fork is only a copy. Blocks for which that fails are left where they are, or routed elsewhere;
   * lost links are left to `complete`. A chain without links goes `nowhereElse`, if it is told so: it throws, with
   * nothing open, where a server is lost or has no room.
   */
  async follow(other: Chain, { nowhereElse = false } = {}): Promise<void> {
    if (this.#links.length > 0) {
      await Promise.all(other.#links.map(({ remote }) => this.#moveTo(remote)))
      return
    }
    for (const { remote } of other.#links) this.history.add(remote.span)
    await this.#openAll(
      other.#links.map(async ({ remote: { span, lost } }, i) => {
        const inputs = i === 0 ? this.#root : this.#newLog()
        const opening = lost === undefined ? this.#opener.openOn(span) : Promise.reject(lost)
        const remote = await (nowhereElse ? opening : opening.catch(() => undefined))
        return remote === undefined
          ? this.#openSpans(span.start, span.end, inputs)
          : [{ remote, inputs, pushes: false }]
      }),
    )
  }

  async #moveTo({ span, peerId, lost }: RemoteSession): Promise<void> {
    const range = (): [number, number] => [
      this.#links.findIndex(({ remote }) => remote.span.start === span.start),
      this.#links.findIndex(({ remote }) => remote.span.end === span.end),
    ]
    const [first, last] = range()
    const { remote } = this.#links[first] ?? {}
    const isThere = first === last && remote?.peerId === peerId && remote.lost === undefined
    if (isThere || first < 0 || last < 0 || lost !== undefined || this.#swarm.avoided().has(peerId)) return
    const opened = await this.#opener.openOn(span).catch(() => undefined)
    if (opened === undefined) return
    const [from, until] = range()
    const left = this.#links.splice(from, until - from + 1, {
      remote: opened,
      inputs: this.#links[from]!.inputs,
      pushes: false,
    })
    this.#connected = false
    for (const link of left) void link.remote.close()
    for (const { inputs } of left.slice(1)) inputs.drop()
  }

  /** Opens all links; if one fails, closes the others and throws. */
  async #openAll(opening: readonly Promise<Link[]>[]): Promise<void> {
    const parts = await Promise.allSettled(opening)
    const links = parts.flatMap((part) => (part.status === 'fulfilled' ? part.value : []))
    const failed = parts.find((part) => part.status === 'rejected')
    if (failed !== undefined) {
      for (const { remote } of links) void remote.close()
      throw failed.reason
    }
    this.#links = links
  }

  /** Links for some blocks, on whichever servers; `inputs` are those of the first of them. */
  async #openSpans(start: number, end: number, inputs: SpanInputs): Promise<Link[]> {
    const remotes = await this.#opener.open(start, end)
    return remotes.map((remote, i) => ({ remote, inputs: i === 0 ? inputs : this.#newLog(), pushes: false }))
  }

  #newLog(): InputLog {
    return new InputLog(this.#options.hiddenSize, this.#options.replayMemory)
  }

  /** Tells every server its next one. */
  async connect(): Promise<void> {
    await this.neighbours.connect(this.#links)
    this.#connected = true
  }

  /** The place of a session in the chain; -1 if it is no part of it. */
  indexOf(remote: RemoteSession): number {
    return this.#links.findIndex((link) => link.remote === remote)
  }

  /** Notes that all servers of the chain have done a step. */
  worked(): void {
    for (const { remote } of this.#links) this.#swarm.worked?.(remote.peerId)
  }

  /** Closes the sessions on all servers, also those being opened now. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { inputs } of this.#links) inputs.drop()
    await Promise.all(this.#links.map(({ remote }) => remote.close()))
  }
}
