import type { GenerationResult } from './result.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { deriveSeed } from '../../sampling/random.ts'
import { MAX_SESSIONS, runTogether } from './together.ts'

/** A prompt of a batch with its resolved options, which depend on its length. */
export interface BatchEntry {
  readonly promptIds: readonly number[]
  readonly options: ResolvedOptions
}

/** Generates all texts of one prompt. */
export type GenerateTexts = (promptIds: readonly number[], options: ResolvedOptions) => Promise<GenerationResult[]>

/**
 * Generates texts for prompts of any lengths at the same time. Returns the first prompt's texts, then the second's, and
 * so on. Each prompt derives its own seed from `seed` and its index; the first uses `seed` itself. The first failure
 * ends all and is thrown.
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
