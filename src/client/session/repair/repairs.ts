// Room repair/: lost servers are replaced, and their caches computed again; sessions are forked.

import { allOf } from '../../../base/all-of.ts'
import { PetalsError } from '../../../base/errors.ts'
import type { Activations } from '../../../tensor/activations.ts'
import { allowedStepMs } from '../../remote/steps/step-time.ts'
import type { SwarmAccess } from '../../remote/swarm-access.ts'
import type { Chain } from '../chain/chain.ts'
import { forkAll } from './fork.ts'
import { type PatienceOptions, patiently } from './patience.ts'
import { type ReplayContext, type ReplayGoal, fill, replay, resumeAll } from './replay.ts'
import type { Recovery } from './reports.ts'
import { type RouteHop, routeHops } from '../server/route-hop.ts'
import type { ForkOptions } from './fork.ts'
import type { StepNumbers } from '../server/step-numbers.ts'
import type { WatchdogOptions } from '../server/watchdog.ts'

/** What repairs work with. */
export interface RepairModules {
  readonly swarm: SwarmAccess
  readonly chain: Chain
  readonly numbers: StepNumbers
  /** How long, and how, servers are waited for. */
  readonly patience: Omit<PatienceOptions, 'because' | 'signal'>
  /** The chain is complete and connected. */
  readonly onRoute: (hops: readonly RouteHop[]) => void
  readonly onRecovery: (recovery: Recovery) => void
}

export interface RepairOptions {
  /** Whether copies of spans' inputs are pulled; without them repairs rely on what servers keep, or compute again. */
  readonly pullsCopies: boolean
  readonly watchdog: WatchdogOptions
}

/** A step to be done again by a repaired chain. */
export interface FailedStep {
  readonly goal: ReplayGoal
  readonly signal: AbortSignal | undefined
  /** Why it failed, and when it was begun, in milliseconds of `performance.now()`. */
  readonly because: Error
  readonly beganMs: number
}

/** What a repair has cost so far. */
class Losses {
  readonly servers = new Set<string>()
  replayedTokens = 0
}

/** Completes the chain of one session: opens it first, replaces lost servers, makes it hold what another one holds. */
export class Repairs {
  readonly #modules: RepairModules
  readonly #options: RepairOptions
  #replayedTokens = 0

  constructor(modules: RepairModules, options: RepairOptions) {
    this.#modules = modules
    this.#options = options
  }

  /** Tokens that servers had to compute again, for each span by itself. */
  get replayedTokens(): number {
    return this.#replayedTokens
  }

  /** Opens a chain that has no servers yet. */
  async open(signal: AbortSignal | undefined): Promise<void> {
    const { chain, numbers } = this.#modules
    const attempt = async (): Promise<void> => {
      numbers.beginEpoch()
      await chain.complete()
      await this.#connect()
    }
    await this.#patiently(attempt, new PetalsError('SWARM_TIMEOUT', 'no server has answered yet'), signal)
  }

  /** Repairs the chain, replays what new servers lack, and returns the output of the failed step. */
  async recover({ goal, signal, because, beganMs }: FailedStep): Promise<Activations> {
    const losses = new Losses()
    const attempt = async (): Promise<Activations> => {
      // What does not wait for each other goes at the same time: every round trip is one that a text stands still.
      const context = this.#newContext(losses, goal)
      const [held] = await allOf(resumeAll(context), this.#replaceLost(losses))
      // A server that is new holds nothing.
      const output = replay(
        context,
        this.#modules.chain.links.map(({ remote }) => held.get(remote) ?? 0),
      )
      await allOf(output, this.#connect())
      return output
    }
    const output = await this.#patiently(attempt, because, signal)
    this.#report(losses, beganMs, because.message)
    return output
  }

  /**
   * Makes the chain hold the first `position` tokens of `source`, a chain over the same blocks, on the same servers as
   * far as they have room. Throws `SESSION_FORK` with `onlyCopies` where it would take more than copies.
   */
  async copy(source: Chain, position: number, { onlyCopies = false }: ForkOptions): Promise<void> {
    const { chain } = this.#modules
    const beganMs = performance.now()
    const losses = new Losses()
    const attempt = async (): Promise<void> => {
      await chain.follow(source, { nowhereElse: onlyCopies })
      if (!onlyCopies) await this.#replaceLost(losses)
      const context = this.#newContext(losses, { settled: position, target: position, failedStep: 0, rows: 0 })
      const held = await forkAll(context, source)
      if (onlyCopies && held.some((tokens) => tokens < position))
        throw new PetalsError('SESSION_FORK', `a server could not copy the first ${position} tokens`)
      if (!chain.connected) await this.#connect()
      await fill(context, held)
    }
    if (onlyCopies) return attempt()
    await this.#patiently(attempt, new PetalsError('SESSION_LOST', 'the session is being copied'))
    if (losses.servers.size > 0) this.#report(losses, beganMs, 'a server was lost before a fork')
  }

  async #replaceLost(losses: Losses): Promise<void> {
    const { chain, swarm } = this.#modules
    await chain.complete(({ peerId, lost }) => {
      losses.servers.add(peerId)
      swarm.avoid(peerId, lost!)
    })
  }

  /** Begins a new epoch, in which servers may be replaced and replayed to. */
  #newContext(losses: Losses, goal: ReplayGoal): ReplayContext {
    const { swarm, chain, numbers } = this.#modules
    const { pullsCopies, watchdog } = this.#options
    losses.replayedTokens = 0
    return {
      ...goal,
      chain,
      epoch: numbers.beginEpoch(),
      numbers,
      keepsCopies: pullsCopies,
      watchdog,
      allowedMs: ({ span }, size) => allowedStepMs([span], size, swarm.links, watchdog),
      onReplay: (count) => {
        losses.replayedTokens += count
        this.#replayedTokens += count
      },
    }
  }

  async #connect(): Promise<void> {
    const { chain, onRoute } = this.#modules
    await chain.connect()
    onRoute(routeHops(chain.links))
  }

  #report({ servers, replayedTokens }: Losses, beganMs: number, reason: string): void {
    const { swarm, chain, onRecovery } = this.#modules
    const { trace } = chain
    const changes = chain.history.takeChanges()
    const seconds = (performance.now() - beganMs) / 1000
    const recovery = { lost: [...servers], replayedTokens, seconds, arithmeticChanged: changes.length > 0 }
    for (const [block, before, now] of changes)
      swarm.logger?.warn({ trace, block }, `computed as ${now} from now on, so far as ${before}`)
    swarm.logger?.info({ trace, ...recovery }, 'session repaired')
    onRecovery({ ...recovery, reason })
  }

  #patiently<T>(attempt: () => Promise<T>, because: Error, signal?: AbortSignal): Promise<T> {
    return patiently(attempt, { ...this.#modules.patience, because, signal })
  }
}
