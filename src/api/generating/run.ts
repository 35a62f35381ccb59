import { sharedTurns } from '../../base/shared-turns.ts'
import type { Recovery, Waiting } from '../../client/session/repair/reports.ts'
import type { RouteHop } from '../../client/session/server/route-hop.ts'
import type { Caller } from '../access/caller.ts'
import type { FairQueue } from '../queue/fair-queue.ts'
import type { RequestMeters } from './meters.ts'
import { type TextEvent, type TextRequest } from './text-request.ts'
import type { WatchRequest } from './text-events.ts'
import { sessionsOf, textsOf } from './texts.ts'

export interface RunModules {
  readonly queue: FairQueue
  readonly meters: RequestMeters
}

/** Whom texts are for, and how long. */
export interface RunFor {
  readonly caller: Caller
  readonly signal: AbortSignal
  /** Told when servers take over from others, or are waited for. */
  readonly onChain?: ((chain: ChainState) => void) | undefined
}

/** Who computes a request, and what happened to it on the way. */
export interface ChainState {
  /** In order; of several texts, the first one's. */
  readonly hops: readonly RouteHop[]
  readonly recoveries: readonly Recovery[]
  /** What is waited for just now. */
  readonly waiting?: Waiting | undefined
}

/** What a request has taken. */
export interface RunSummary extends ChainState {
  readonly promptTokens: number
  /** Of these, what the swarm still held. */
  readonly cachedTokens: number
  readonly completionTokens: number
  /** Milliseconds until the first token, and from then on; of several texts at once, the longest. */
  readonly promptMs: number
  readonly completionMs: number
}

/**
 * Lets a request in when it is its turn, and hands its events on as they come; while one is being taken no further
 * tokens are computed. Throws an `ApiError` where the caller has used up its tokens, too many wait, or the model is not
 * served; the signal's reason; and as `textsOf`.
 */
export async function runTexts(
  { queue, meters }: RunModules,
  { caller, signal, onChain }: RunFor,
  request: TextRequest,
  take: (event: TextEvent) => Promise<void> | void,
): Promise<RunSummary> {
  const { prompts, model } = request
  model.served.requireServed()
  caller.admit()
  const meter = meters.begin(request)
  const summary = new Summary(prompts, onChain)
  let leave: (() => void) | undefined
  try {
    leave = await queue.enter({ caller, model: model.id, slots: sessionsOf(request) }, signal)
    meter.started()
    await sharedTurns.next()
    for await (const event of textsOf(request, { signal, scope: caller.name, watch: summary })) {
      summary.add(event)
      meter.add(event)
      if (event.kind === 'end') request.onText?.(event.result)
      await take(event)
    }
    return summary
  } finally {
    leave?.()
    meter.ended()
    if (summary.hasBegun) caller.charge(summary.promptTokens, summary.completionTokens)
  }
}

class Summary implements RunSummary, WatchRequest {
  readonly promptTokens: number
  cachedTokens = 0
  completionTokens = 0
  promptMs = 0
  completionMs = 0
  hops: readonly RouteHop[] = []
  readonly recoveries: Recovery[] = []
  hasBegun = false
  readonly #onChain: RunFor['onChain']

  constructor(prompts: TextRequest['prompts'], onChain: RunFor['onChain']) {
    this.#onChain = onChain
    this.promptTokens = prompts.reduce((sum, { length }) => sum + length, 0)
  }

  add(event: TextEvent): void {
    this.hasBegun = true
    if (event.kind === 'chunk') this.completionTokens += event.chunk.tokenIds.length
    if (event.kind !== 'end') return
    const { seconds, prefillSeconds, cachedTokens } = event.result
    this.cachedTokens += cachedTokens
    this.promptMs = Math.max(this.promptMs, prefillSeconds * 1000)
    this.completionMs = Math.max(this.completionMs, (seconds - prefillSeconds) * 1000)
  }

  onRoute(prompt: number, hops: readonly RouteHop[]): void {
    if (prompt !== 0) return
    this.hops = hops
    this.#tell()
  }

  onRecovery(recovery: Recovery): void {
    this.recoveries.push(recovery)
  }

  onWaiting(waiting: Waiting): void {
    this.#tell(waiting)
  }

  #tell(waiting?: Waiting): void {
    this.#onChain?.({ hops: this.hops, recoveries: this.recoveries, waiting })
  }
}
