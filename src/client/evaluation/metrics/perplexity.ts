import type { Dataset } from '../../training/data/dataset.ts'
import type { Task } from '../task.ts'

/** How well texts are predicted. */
export interface PerplexityResult {
  /** exp(loss). */
  readonly perplexity: number
  /** The mean over tokens of -log p(token | those before it), in nats. */
  readonly loss: number
  /** Tokens that were predicted. */
  readonly tokens: number
}

/**
 * The perplexity of all that counts in a data set: of sliding windows each token once, with as much before it as the
 * windows allow; of chats and completions the answers.
 */
export function perplexityTask({ examples }: Dataset): Task<PerplexityResult> {
  const tokens = examples.reduce((sum, { weights }) => weights.reduce((all, weight) => all + weight, sum), 0)
  return {
    score: 'loss',
    examples,
    summarize: (scores) => {
      const loss = scores.reduce((sum, [each = 0]) => sum + each, 0) / tokens
      return { perplexity: Math.exp(loss), loss, tokens }
    },
  }
}
