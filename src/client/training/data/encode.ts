import { commonPrefix } from '../../../base/common-prefix.ts'
import { turn } from '../../../base/pace.ts'
import type { Example } from './dataset.ts'

/** The part of a tokenizer that data need. */
export interface DataTokenizer {
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Promise<number[]>
}

/** Ids and which of them are learned. */
export interface Learned {
  readonly ids: readonly number[]
  /** Whether id i is to be predicted. */
  readonly isLearned: (i: number) => boolean
}

/** All ids of a text are learned. */
function learnAll(ids: readonly number[]): Learned {
  return { ids, isLearned: () => true }
}

/**
 * A prompt and what is to follow it, of which only the latter is learned, and the end of the text, where the model has
 * one. Both are encoded as one text, as the model would see them.
 */
export async function encodeCompletion(
  tokenizer: DataTokenizer,
  { prompt, completion }: { readonly prompt: string; readonly completion: string },
  eosId: number | undefined,
): Promise<Learned> {
  const [before, whole] = await Promise.all([tokenizer.encode(prompt), tokenizer.encode(prompt + completion)])
  // A tokenizer may end every text by itself.
  const open = whole.at(-1) === eosId && before.at(-1) === eosId ? before.slice(0, -1) : before
  const from = commonPrefix(open, whole)
  const ids = eosId === undefined || whole.at(-1) === eosId ? whole : [...whole, eosId]
  return { ids, isLearned: (i) => i >= from }
}

/** An example of the first `maxTokens` positions and the target of the last; undefined where nothing is learned. */
export function exampleOf({ ids, isLearned }: Learned, maxTokens: number): Example | undefined {
  const kept = Int32Array.from(ids.slice(0, maxTokens + 1))
  const weights = Float32Array.from(kept, (_, i) => (i > 0 && isLearned(i) ? 1 : 0))
  return weights.includes(1) ? { ids: kept, weights } : undefined
}

/**
 * Examples of `maxTokens` positions and a target for each, one after the other: the last id of one is the first of the
 * next. What is left at the end becomes a shorter one if `rest` says so, or if there is no other.
 */
export async function windowsOf(ids: readonly number[], maxTokens: number, rest: boolean): Promise<Example[]> {
  const examples: Example[] = []
  for (let at = 0; at + 1 < ids.length; at += maxTokens) {
    const window = exampleOf(learnAll(ids.slice(at, at + maxTokens + 1)), maxTokens)!
    if (window.ids.length === maxTokens + 1 || rest || at === 0) examples.push(window)
    await turn()
  }
  return examples
}

/**
 * Examples of at most `window` ids each, which begin `stride` ids after one another. Each id but the first is counted
 * once, in the first window that has it: with as much before it as the windows allow (the perplexity of transformers'
 * guide). Where windows do not overlap, the first id of each is not counted.
 */
export async function slidingWindows(ids: readonly number[], window: number, stride: number): Promise<Example[]> {
  const examples: Example[] = []
  for (let at = 0, counted = 0; counted < ids.length; at += stride) {
    const from = counted
    counted = Math.min(at + window, ids.length)
    const example = exampleOf({ ids: ids.slice(at, counted), isLearned: (i) => at + i >= from }, window)
    if (example !== undefined) examples.push(example)
    await turn()
  }
  return examples
}
