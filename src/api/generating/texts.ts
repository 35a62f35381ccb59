import { MAX_SESSIONS } from '../../client/generation/together.ts'
import type { Recovery, Waiting } from '../../client/session/repair/reports.ts'
import type { RouteHop } from '../../client/session/server/route-hop.ts'
import { merged } from './merged.ts'
import { ScoredPrompt } from './scored-prompt.ts'
import { type TextsFor, eventsOf, optionsOf } from './text-events.ts'
import type { TextEvent, TextRequest } from './text-request.ts'

/** How many sessions a request has open at once. */
export function sessionsOf({ prompts, n }: Pick<TextRequest, 'prompts' | 'n'>): number {
  return Math.min(MAX_SESSIONS, prompts.length * n)
}

/**
 * Generates the texts of all prompts, a few at a time; events come as they happen, in order for each text. When the
 * signal is aborted, or the reader stops, all ends at once, whatever is being done. Throws the signal's reason, and as
 * `PromptCache.stream` and `CausalLMSession.read`.
 */
export async function* textsOf(request: TextRequest, { signal, ...others }: TextsFor): AsyncGenerator<TextEvent, void> {
  const stop = new AbortController()
  const either = { ...others, signal: AbortSignal.any([signal, stop.signal]) }
  const prompts = request.prompts.map((_, prompt) => prompt)
  if (request.promptLogprobs === undefined && request.options.maxNewTokens > 0) {
    const texts = prompts.flatMap((prompt) =>
      Array.from({ length: request.n }, (_, i) => oneText(request, prompt, i, either)),
    )
    yield* merged(texts, MAX_SESSIONS, stop)
  } else {
    const together = Math.max(1, Math.floor(MAX_SESSIONS / request.n))
    yield* merged(
      prompts.map((prompt) => new ScoredPrompt(request, prompt, either).run()),
      together,
      stop,
    )
  }
  signal.throwIfAborted()
}

/** One text. Where several have one prompt, the first computes it. */
async function* oneText(
  request: TextRequest,
  prompt: number,
  text: number,
  { signal, scope, watch }: TextsFor,
): AsyncGenerator<TextEvent, void> {
  const { served, adapter } = request.model
  const options = optionsOf(request, prompt, text, signal)
  const settings = {
    ...(adapter !== undefined && { activeAdapter: adapter }),
    scope,
    watch: {
      route: (hops: readonly RouteHop[]) => watch.onRoute(prompt, hops),
      recovery: (recovery: Recovery) => watch.onRecovery(recovery),
      waiting: (waiting: Waiting) => watch.onWaiting(waiting),
    },
  }
  const chunks = served.promptCache.stream(request.prompts[prompt]!, options, settings)
  yield* eventsOf(prompt * request.n + text, chunks)
}
