import { seededRandom } from '../../src/sampling/random.ts'
import { type Machine, SimulatedSwarm } from './simulated-swarm.ts'
import { VirtualClock } from './virtual-clock.ts'

/** A swarm that grows, loses servers and gets new ones. */
export interface Scenario {
  readonly numServers: number
  readonly numBlocks: number
  /** The least and the most blocks that a server holds. */
  readonly lengths: readonly [least: number, most: number]
  readonly quality: number
  readonly periodMs: number
  readonly loadMs: number
  readonly seed: number
}

/** The swarm at one moment. */
export interface Sample {
  readonly minute: number
  readonly numServers: number
  readonly numMoves: number
  /** The smallest throughput of a block, as a share of what it would be if all servers could be spread evenly. */
  readonly share: number
}

/** Throughputs of the slowest and of the fastest server are this far apart. */
const MAX_SPEED = 10
const MINUTE_MS = 60_000
const SAMPLE_MS = 15_000

/** A swarm under a virtual clock, of which samples are kept. */
export class ScenarioRun {
  readonly samples: Sample[] = []
  readonly swarm: SimulatedSwarm
  readonly #scenario: Scenario
  readonly #clock = new VirtualClock()
  readonly #random: () => number
  #numJoined = 0

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    this.#random = seededRandom(scenario.seed)
    this.swarm = new SimulatedSwarm(this.#clock, { ...scenario, random: this.#random })
  }

  get nowMs(): number {
    return this.#clock.nowMs
  }

  /** What every block would have if all servers could be spread evenly: more than any arrangement reaches. */
  get fair(): number {
    const work = this.swarm.machines.reduce((sum, { length, throughput }) => sum + length * throughput, 0)
    return work / this.#scenario.numBlocks
  }

  /** `count` random machines join within `minutes`. */
  async join(count: number, minutes: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      void this.swarm.join(this.#machine())
      await this.pass(minutes / count)
    }
  }

  /** `count` random machines die at once. */
  kill(count: number): readonly Machine[] {
    const victims = this.swarm.machines.map((machine) => ({ machine, at: this.#random() }))
    const dead = victims.toSorted((a, b) => a.at - b.at).slice(0, count)
    for (const { machine } of dead) this.swarm.kill(machine.peerId)
    return dead.map(({ machine }) => machine)
  }

  async pass(minutes: number): Promise<void> {
    const until = this.nowMs + minutes * MINUTE_MS
    while (this.nowMs < until) {
      await this.#clock.run(Math.min(until, this.nowMs + SAMPLE_MS))
      this.samples.push(this.#sample())
    }
  }

  #machine(): Machine {
    const [least, most] = this.#scenario.lengths
    const length = least + Math.floor(this.#random() * (most - least + 1))
    // Ids in no order of arrival, as those of real peers.
    const peerId = `${this.#random().toString(36).slice(2)}-${this.#numJoined++}`
    return { peerId, length, throughput: MAX_SPEED ** this.#random() }
  }

  #sample(): Sample {
    const { machines, numMoves, bottleneck } = this.swarm
    return { minute: this.nowMs / MINUTE_MS, numServers: machines.length, numMoves, share: bottleneck / this.fair }
  }
}
