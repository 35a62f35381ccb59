import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { deriveSeed } from '../../sampling/random.ts'
import { type ForkableSource, Forks, allOver, prefill } from './beams/forkable.ts'
import { PrefilledSource } from './choosing/prefilled-source.ts'
import { checkRequest, generate } from './generate.ts'
import type { GenerationResult } from './result.ts'
import type { TextStream } from './text/text-output.ts'
import { MAX_SESSIONS, runTogether } from './together.ts'

/**
 * Generates `numReturnSequences` texts for one prompt, which is fed once, after what `source` holds; each text goes on
 * in a fork. Each text derives its own seed from `seed`; the first uses `seed` itself. In the end `source` holds one of
 * the texts. The first failure ends all and is thrown. `newText` makes the decoder of a text.
 */
export async function generateContinuations(
  source: ForkableSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
  newText: () => TextStream | undefined,
): Promise<GenerationResult[]> {
  const { numReturnSequences: count = 1, signal } = options
  // A single text shares nothing: `generate` feeds the prompt itself.
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

/** Runs a generator to its end and returns its return value. */
export async function resultOf<T>(generator: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const next = await generator.next()
    if (next.done === true) return next.value
  }
}
