import type { Example } from './dataset.ts'

/** Sequences side by side, padded on the right: under causal attention what follows a token does not change it. */
export interface Batch {
  /** Ids of `size` x `tokens`, padding included. */
  readonly ids: readonly number[]
  readonly size: number
  readonly tokens: number
  /** The tokens of each sequence, padding left out. */
  readonly lengths: readonly number[]
  readonly labels: readonly Example['label'][]
}

/** A batch in which the next id is to be predicted from each position that counts. */
export interface TextBatch extends Batch {
  /** The positions that count, among `size` x `tokens`. */
  readonly rows: readonly number[]
  /** The id that follows each of these, and what its loss counts. */
  readonly targets: Int32Array
  readonly weights: Float32Array
  /** The sum of the weights. */
  readonly weight: number
}

/** Puts sequences together whole: for classification. */
export function wholeBatch(examples: readonly Example[], padId: number): Batch {
  return padded(
    examples.map(({ ids }) => ids),
    examples,
    padId,
  )
}

/** Puts sequences together so that each position's target is the id after it. */
export function textBatch(examples: readonly Example[], padId: number): TextBatch {
  const batch = padded(
    examples.map(({ ids }) => ids.subarray(0, -1)),
    examples,
    padId,
  )
  const rows: number[] = []
  const targets: number[] = []
  const weights: number[] = []
  for (const [i, example] of examples.entries())
    for (let at = 1; at < example.ids.length; at++) {
      if (example.weights[at] === 0) continue
      rows.push(i * batch.tokens + at - 1)
      targets.push(example.ids[at]!)
      weights.push(example.weights[at]!)
    }
  const weight = weights.reduce((sum, each) => sum + each, 0)
  return { ...batch, rows, targets: Int32Array.from(targets), weights: Float32Array.from(weights), weight }
}

function padded(sequences: readonly Int32Array[], examples: readonly Example[], padId: number): Batch {
  const lengths = sequences.map(({ length }) => length)
  const tokens = Math.max(...lengths)
  const ids = sequences.flatMap((sequence) => [
    ...sequence,
    ...Array.from({ length: tokens - sequence.length }, () => padId),
  ])
  return { ids, size: sequences.length, tokens, lengths, labels: examples.map(({ label }) => label) }
}
