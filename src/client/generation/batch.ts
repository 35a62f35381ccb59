import type { GenerationResult } from './result.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { deriveSeed } from '../../sampling/random.ts'
import { MAX_SESSIONS, runTogether } from './together.ts'

/** One prompt of a batch with its own options: they depend on its length. */
export interface BatchEntry {
  readonly promptIds: readonly number[]
  readonly options: ResolvedOptions
}

/** All texts of one prompt. */
export type GenerateTexts = (promptIds: readonly number[], options: ResolvedOptions) => Promise<GenerationResult[]>

/**
 * Texts for prompts of any lengths, at the same time: those of the first prompt, then those of the second and so on.
 * Each prompt has a seed of its own that follows from `seed` and its place; the first has `seed` itself. The first
 * failure ends all of them and is thrown.
 */
export async function generateBatch(
  generateTexts: GenerateTexts,
  entries: readonly BatchEntry[],
  signal?: AbortSignal,
): Promise<GenerationResult[]> {
  const textsEach = Math.max(
    1,
    ...entries.map(({ options: { numBeams = 1, numReturnSequences = 1 } }) => Math.max(numBeams, numReturnSequences)),
  )
  const jobs = entries.map(
    ({ promptIds, options }, i) =>
      (signal: AbortSignal) =>
        generateTexts(promptIds, { ...options, signal, seed: deriveSeed(options.seed, 'prompt', i) }),
  )
  return (await runTogether(jobs, Math.max(1, Math.floor(MAX_SESSIONS / textsEach)), signal)).flat()
}
