import { chooseStart, keepBalanced } from '../../src/server/placement/balancer.ts'
import { BlockThroughputs } from '../../src/server/placement/block-throughputs.ts'
import { MovePlanner } from '../../src/server/placement/next-move.ts'
import type { Placement } from '../../src/server/placement/placement.ts'
import { intendedPlacements, type PlacedRecord } from '../../src/server/placement/records.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** What a simulated machine can do. */
export interface Machine {
  readonly peerId: string
  readonly length: number
  readonly throughput: number
}

export interface SwarmSettings {
  readonly quality: number
  readonly periodMs: number
  readonly numBlocks: number
  /** How long a span takes to load. */
  readonly loadMs: number
  readonly random: () => number
}

/** How long an announcement travels, and how long a dead server's last record is believed. */
const TRAVEL_MS = [500, 2000] as const
const EXPIRY_MS = 60_000

interface Announced {
  readonly heardAtMs: number
  readonly record: PlacedRecord | undefined
}

interface Node extends Machine {
  readonly stop: AbortController
  readonly announced: Announced[]
  start: number | undefined
}

/** Servers that come, go and balance themselves by the real policy, under a virtual clock. */
export class SimulatedSwarm {
  numMoves = 0
  readonly #settings: SwarmSettings
  readonly #clock: VirtualClock
  /** One for all: what it keeps follows from what it is asked. */
  readonly #planner: MovePlanner
  readonly #nodes = new Map<string, Node>()
  readonly #dead: { readonly untilMs: number; readonly record: PlacedRecord }[] = []

  constructor(clock: VirtualClock, settings: SwarmSettings) {
    this.#clock = clock
    this.#settings = settings
    this.#planner = new MovePlanner(settings.numBlocks, settings.quality)
  }

  /** The machines that are there now. */
  get machines(): readonly Machine[] {
    return [...this.#nodes.values()]
  }

  /** Where the servers stand that have loaded. */
  get loaded(): Placement[] {
    return [...this.#nodes.values()].flatMap(({ peerId, start, length, throughput }) =>
      start === undefined ? [] : [{ peerId, start, length, throughput, movable: true }],
    )
  }

  /** The swarm's throughput now: of its slowest block, in tokens per second. */
  get bottleneck(): number {
    return new BlockThroughputs(this.#settings.numBlocks, this.loaded).bottleneck
  }

  /** A machine joins, loads, and takes part from then on. */
  async join(machine: Machine): Promise<void> {
    const { numBlocks, loadMs, periodMs, random } = this.#settings
    const node: Node = { ...machine, stop: new AbortController(), announced: [], start: undefined }
    this.#nodes.set(machine.peerId, node)
    const server = {
      peerId: machine.peerId,
      numBlocks,
      placements: async (afterIntent: boolean) => this.#heard(node, afterIntent),
      intend: async (start: number | undefined) =>
        this.#announce(node, {
          ...(node.start === undefined ? { state: 'JOINING', start: start! } : { state: 'ONLINE', start: node.start }),
          ...(start !== undefined && { movingTo: start }),
        }),
      move: async (start: number) => {
        this.numMoves += 1
        this.#announce(node, { state: 'JOINING', start })
        node.start = undefined
        await this.#load(node, start, loadMs)
      },
    }
    const start = await chooseStart(server, machine, this.#clock)
    this.#announce(node, { state: 'JOINING', start })
    await this.#load(node, start, loadMs)
    const modules = { planner: this.#planner, periodMs, clock: this.#clock, random, onError: rethrow }
    await keepBalanced(server, modules, node.stop.signal)
  }

  /** A machine dies; others notice when its record expires. */
  kill(peerId: string): void {
    const node = this.#nodes.get(peerId)!
    node.stop.abort()
    this.#nodes.delete(peerId)
    const record = node.announced.at(-1)?.record
    if (record !== undefined) this.#dead.push({ untilMs: this.#clock.nowMs + EXPIRY_MS, record })
  }

  async #load(node: Node, start: number, loadMs: number): Promise<void> {
    if (!(await this.#clock.pause(loadMs, node.stop.signal))) return
    node.start = start
    this.#announce(node, { state: 'ONLINE', start })
  }

  #announce(node: Node, placed: Pick<PlacedRecord, 'state' | 'start' | 'movingTo'>): void {
    const [least, most] = TRAVEL_MS
    const { peerId, length, throughput } = node
    const record = { ...placed, peerId, end: placed.start + length, throughput, movable: true }
    node.announced.push({ heardAtMs: this.#clock.nowMs + least + (most - least) * this.#settings.random(), record })
    if (node.announced.length > 3) node.announced.shift()
  }

  /** What one node has heard of all others; of itself it knows the latest. */
  #heard(me: Node, afterIntent: boolean): readonly Placement[] {
    const now = this.#clock.nowMs
    const of = (node: Node) =>
      (node === me ? node.announced.at(-1) : node.announced.findLast(({ heardAtMs }) => heardAtMs <= now))?.record
    const alive = [...this.#nodes.values()].flatMap((node) => of(node) ?? [])
    const dead = this.#dead.filter(({ untilMs }) => untilMs > now).map(({ record }) => record)
    return intendedPlacements([...alive, ...dead], me.peerId, afterIntent)
  }
}

function rethrow(error: unknown): never {
  throw error
}
