import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { deriveSeed } from '../../sampling/random.ts'
import { type ForkableSource, Forks, allOver, prefill } from './beams/forkable.ts'
import type { BeforeHead, TokenSource } from './choosing/token-source.ts'
import { checkRequest, generate } from './generate.ts'
import type { GenerationResult } from './result.ts'
import type { TextStream } from './text/text-output.ts'
import { MAX_SESSIONS, runTogether } from './together.ts'

/** A source that was fed the prompt already: the first step of a generation gives what came of it. */
class PrefilledSource implements TokenSource {
  readonly heldIds: readonly number[]
  readonly beforeHead: BeforeHead | undefined
  readonly #source: TokenSource
  #state: Float32Array | undefined

  constructor(source: TokenSource, heldIds: readonly number[], state: Float32Array | undefined) {
    const { beforeHead } = source
    this.heldIds = heldIds
    this.beforeHead = beforeHead && {
      head: beforeHead.head,
      feed: async (ids) => this.#take() ?? beforeHead.feed(ids),
    }
    this.#source = source
    this.#state = state
  }

  async next(ids: readonly number[]): Promise<Float32Array> {
    return this.#take() ?? this.#source.next(ids)
  }

  #take(): Float32Array | undefined {
    const state = this.#state
    this.#state = undefined
    return state
  }
}

/**
 * `numReturnSequences` texts for one prompt, which is fed once, behind what `source` holds; the texts go on from copies
 * of it. Each has a seed of its own that follows from `seed`; the first has `seed` itself. In the end `source` holds
 * one of the texts. The first failure ends all of them and is thrown. `newText` makes what decodes one text.
 */
export async function generateContinuations(
  source: ForkableSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
  newText: () => TextStream | undefined,
): Promise<GenerationResult[]> {
  const { numReturnSequences: count = 1, signal } = options
  // Nothing to share: the prompt is a generation's own, with all checks.
  if (count === 1) return [await resultOf(generate(source, promptIds, options, newText()))]
  checkRequest(promptIds, options, newText())
  const began = performance.now()
  const heldIds = source.heldIds ?? []
  const state = await prefill(source, promptIds, options)
  const prefillSeconds = state === undefined ? 0 : (performance.now() - began) / 1000
  const promptEnd = source.position
  const forks = new Forks(source)
  try {
    const free = [
      source,
      ...(await allOver(Array.from({ length: Math.min(count, MAX_SESSIONS) - 1 }, () => forks.add()))),
    ]
    const jobs = Array.from({ length: count }, (_, i) => async (either: AbortSignal) => {
      const own = free.pop()!
      own.position = promptEnd
      const prefilled = new PrefilledSource(own, heldIds, state)
      const result = await resultOf(
        generate(
          prefilled,
          promptIds,
          { ...options, numReturnSequences: 1, signal: either, seed: deriveSeed(options.seed, 'text', i) },
          newText(),
        ),
      )
      free.push(own)
      return { ...result, seconds: result.seconds + prefillSeconds, prefillSeconds }
    })
    return await runTogether(jobs, MAX_SESSIONS, signal)
  } finally {
    await forks.close()
  }
}

/** What a generator returns in the end. */
export async function resultOf<T>(generator: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const next = await generator.next()
    if (next.done === true) return next.value
  }
}
