import type { GenerationChunk, GenerationResult } from '../../client/generation/result.ts'
import type { Recovery, Waiting } from '../../client/session/repair/reports.ts'
import type { RouteHop } from '../../client/session/server/route-hop.ts'
import { deriveSeed } from '../../sampling/random.ts'
import type { TextEvent, TextRequest } from './text-request.ts'

/** Told of what happens to the sessions of a request. */
export interface WatchRequest {
  /** The chain of servers of a prompt's session: at first, and whenever it has changed. */
  onRoute(prompt: number, hops: readonly RouteHop[]): void
  onRecovery(recovery: Recovery): void
  onWaiting(waiting: Waiting): void
}

/** Whom texts are for. */
export interface TextsFor {
  readonly signal: AbortSignal
  /** Requests of another scope share nothing of what servers hold. */
  readonly scope: string
  readonly watch: WatchRequest
}

/** The options of one text, which draws from a seed of its own. */
export function optionsOf({ options }: TextRequest, prompt: number, text: number, signal: AbortSignal) {
  return { ...options, seed: deriveSeed(deriveSeed(options.seed, 'prompt', prompt), 'text', text), signal }
}

/** What comes of a text; `prefillSeconds` were spent before on its prompt. The text ends where its reader stops. */
export async function* eventsOf(
  index: number,
  chunks: AsyncGenerator<GenerationChunk, TextResult>,
  prefillSeconds?: number,
): AsyncGenerator<TextEvent, void> {
  let whole: TextResult | undefined
  try {
    for (;;) {
      const next = await chunks.next()
      if (next.done === true) {
        whole = next.value
        break
      }
      yield { kind: 'chunk', index, chunk: next.value }
    }
  } finally {
    // A generator that is only left alone keeps its session, and that its room on servers.
    if (whole === undefined) await chunks.return(undefined as never)
  }
  const { cachedTokens = 0, ...result } = whole
  const times = prefillSeconds === undefined ? {} : { seconds: result.seconds + prefillSeconds, prefillSeconds }
  yield { kind: 'end', index, result: { ...result, ...times, cachedTokens } }
}

type TextResult = GenerationResult & { readonly cachedTokens?: number }
