import { VERSION } from '../../base/version.ts'
import { clockText } from '../../swarm/node/clock-votes.ts'
import { HappeningLog } from './happenings.ts'
import { ModelWatch, type WatchedModel } from './model-watch.ts'
import type { NodeSnapshot, ServingSnapshot, SwarmSnapshot } from './snapshot.ts'

export interface SwarmWatchModules {
  /** The models that are served; more may come. */
  readonly catalog: { readonly models: readonly WatchedModel[] }
  readonly queue: { readonly numRunning: number; readonly numWaiting: number }
}

/** How often servers are looked at without any news: records run out, and figures move. */
const LOOK_MS = 2000

/** Changes within this time are told together. */
const SETTLE_MS = 150

/**
 * How long after one round of questions to all servers the next one begins. Gossip tells of changes at once; this finds
 * servers that vanished without a word, while somebody is looking.
 */
const PROBE_PAUSE_MS = 5000

/**
 * Watches the swarms of all models that are served here. What happens is logged all the time; servers are asked for
 * signs of life while somebody listens.
 */
export class SwarmWatch {
  /** The load of the span that this node serves itself, once it does. */
  serving: (() => ServingSnapshot) | undefined
  readonly #modules: SwarmWatchModules
  readonly #log = new HappeningLog()
  readonly #models = new Map<WatchedModel, ModelWatch>()
  readonly #listeners = new Set<(snapshot: SwarmSnapshot) => void>()
  readonly #cpu = new CpuMeter()
  readonly #stopped = new AbortController()
  #ticks: NodeJS.Timeout | undefined
  #settling: NodeJS.Timeout | undefined
  #isProbing = false

  constructor(modules: SwarmWatchModules) {
    this.#modules = modules
  }

  /** Aborted by `stop`. */
  get stopped(): AbortSignal {
    return this.#stopped.signal
  }

  start(): void {
    this.#ticks ??= setInterval(() => this.#tell(), LOOK_MS).unref()
  }

  /** For good. */
  stop(): void {
    this.#stopped.abort()
    clearInterval(this.#ticks)
    this.#ticks = undefined
    clearTimeout(this.#settling)
    this.#settling = undefined
    for (const model of this.#models.values()) model.stop()
    this.#models.clear()
    this.#listeners.clear()
  }

  get numListeners(): number {
    return this.#listeners.size
  }

  /** The swarms as they are known now. */
  snapshot(): SwarmSnapshot {
    const models = this.#watches().map((watch) => watch.look())
    return { at: Date.now(), node: this.#node(), models, happenings: this.#log.latest }
  }

  /** Calls `listener` at each change, and every few seconds. Returns the function that ends this. */
  listen(listener: (snapshot: SwarmSnapshot) => void): () => void {
    this.#listeners.add(listener)
    void this.#probeWhileHeard()
    return () => this.#listeners.delete(listener)
  }

  #watches(): ModelWatch[] {
    for (const model of this.#modules.catalog.models) {
      if (!this.#models.has(model)) this.#models.set(model, new ModelWatch(model, this.#log, () => this.#tellSoon()))
    }
    return [...this.#models.values()]
  }

  #tellSoon(): void {
    if (this.#ticks === undefined) return
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined
      this.#tell()
    }, SETTLE_MS)
  }

  #tell(): void {
    const snapshot = this.snapshot()
    for (const listener of this.#listeners) listener(snapshot)
  }

  async #probeWhileHeard(): Promise<void> {
    if (this.#isProbing) return
    this.#isProbing = true
    while (this.#listeners.size > 0) {
      await Promise.all(this.#watches().map((watch) => watch.probe()))
      this.#tellSoon()
      await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS).unref())
    }
    this.#isProbing = false
  }

  #node(): NodeSnapshot {
    const { catalog, queue } = this.#modules
    const node = catalog.models[0]?.model.swarm.node
    const clock = node?.clocks.verdict()
    return {
      peerId: node?.peerId ?? '',
      version: VERSION,
      uptimeSeconds: Math.round(process.uptime()),
      peers: node?.connections.numPeers ?? 0,
      busyCores: this.#cpu.read(),
      memoryBytes: process.memoryUsage.rss(),
      running: queue.numRunning,
      waiting: queue.numWaiting,
      serving: this.serving?.(),
      clock: clock === undefined ? undefined : clockText(clock),
    }
  }
}

/** The shortest time over which busy cores are measured: over less the figure says little. */
const MIN_MEASURE_MS = 1000

/** How many cores this process has kept busy of late. */
class CpuMeter {
  #at = performance.now()
  #usage = process.cpuUsage()
  #busyCores = 0

  read(): number {
    const now = performance.now()
    if (now - this.#at < MIN_MEASURE_MS) return this.#busyCores
    const { user, system } = process.cpuUsage(this.#usage)
    this.#busyCores = (user + system) / 1000 / (now - this.#at)
    this.#at = now
    this.#usage = process.cpuUsage()
    return this.#busyCores
  }
}
