import type { Recovery } from '../../client/session/inference-session.ts'
import type { RouteHop } from '../../client/session/route-hop.ts'
import type { Caller } from '../access/caller.ts'
import type { FairQueue } from '../queue/fair-queue.ts'
import type { RequestMeters } from './meters.ts'
import { type TextEvent, type TextRequest } from './text-request.ts'
import { sessionsOf, textsOf } from './texts.ts'

export interface RunModules {
  readonly queue: FairQueue
  readonly meters: RequestMeters
}

/** Whom texts are for, and how long. */
export interface RunFor {
  readonly caller: Caller
  readonly signal: AbortSignal
}

/** What a request has taken. */
export interface RunSummary {
  readonly promptTokens: number
  /** Of these, what the swarm still held. */
  readonly cachedTokens: number
  readonly completionTokens: number
  /** Milliseconds until the first token, and from then on; of several texts at once, the longest. */
  readonly promptMs: number
  readonly completionMs: number
  /** The servers that computed it, in order, at the end; of several texts, the first one's. */
  readonly hops: readonly RouteHop[]
  readonly recoveries: readonly Recovery[]
}

/**
 * Lets a request in when it is its turn, and hands its events on as they come; while one is being taken no further
 * tokens are computed. Throws an `ApiError` where the caller has used up its tokens, too many wait, or the model is not
 * served; the signal's reason; and as `textsOf`.
 */
export async function runTexts(
  { queue, meters }: RunModules,
  { caller, signal }: RunFor,
  request: TextRequest,
  take: (event: TextEvent) => Promise<void> | void,
): Promise<RunSummary> {
  const { prompts, model } = request
  model.served.requireServed()
  caller.admit()
  const meter = meters.begin(request)
  const summary = new Summary(prompts)
  let leave: (() => void) | undefined
  try {
    leave = await queue.enter({ caller, model: model.id, slots: sessionsOf(request) }, signal)
    meter.started()
    const watch = summary.watch.bind(summary)
    for await (const event of textsOf(request, signal, watch)) {
      summary.add(event)
      meter.add(event)
      await take(event)
    }
    return summary
  } finally {
    leave?.()
    meter.ended()
    if (summary.hasBegun) caller.charge(summary.promptTokens - summary.cachedTokens, summary.completionTokens)
  }
}

class Summary implements RunSummary {
  readonly promptTokens: number
  cachedTokens = 0
  completionTokens = 0
  promptMs = 0
  completionMs = 0
  hops: readonly RouteHop[] = []
  readonly recoveries: Recovery[] = []
  hasBegun = false
  #first: object | undefined

  constructor(prompts: TextRequest['prompts']) {
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

  watch(session: Parameters<Parameters<typeof textsOf>[2]>[0]): void {
    this.#first ??= session
    session.on('route', (hops) => {
      if (this.#first === session) this.hops = hops
    })
    session.on('recovery', (recovery) => this.recoveries.push(recovery))
  }
}
