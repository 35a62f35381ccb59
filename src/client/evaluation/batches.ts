import type { Example } from '../training/data/dataset.ts'

/**
 * Numbers of examples that are computed together: those of similar lengths, of at most `maxTokens` tokens with padding,
 * the longest first. Which they are follows from the lengths alone.
 */
export function batchesOf(examples: readonly Example[], maxTokens: number): number[][] {
  const lengths = examples.map(({ ids }) => ids.length)
  const sorted = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const batches: number[][] = []
  let rows = 0
  for (const number of sorted) {
    if (batches.at(-1) === undefined || batches.at(-1)!.length === rows) {
      batches.push([])
      rows = Math.max(1, Math.floor(maxTokens / lengths[number]!))
    }
    batches.at(-1)!.push(number)
  }
  return batches
}
