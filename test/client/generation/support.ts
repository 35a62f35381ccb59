import type { GenerationChunk, GenerationResult } from '../../../src/client/generation/result.ts'
import type { TokenSource } from '../../../src/client/generation/choosing/token-source.ts'

/** Softmax by the book. */
export function softmax(logits: Iterable<number>): number[] {
  const values = [...logits]
  const max = values.reduce((a, b) => Math.max(a, b))
  const weights = values.map((value) => Math.exp(value - max))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}

/** Logits of which `id` is by far the likeliest. */
export function logitsFor(id: number, vocabularySize: number): Float32Array {
  return new Float32Array(vocabularySize).fill(-5).fill(5, id, id + 1)
}

/** A bigram table as a model: after token i come the logits of row i. Keeps what it is fed. */
export class BigramSource implements TokenSource {
  readonly fed: number[][] = []
  readonly #rows: readonly Float32Array[]

  constructor(rows: readonly Float32Array[]) {
    this.#rows = rows
  }

  async next(ids: readonly number[]): Promise<Float32Array> {
    this.fed.push([...ids])
    return this.#rows[ids.at(-1)!]!
  }
}

/** Gives the ids of a script, whatever it is fed. */
export class ScriptSource implements TokenSource {
  readonly fed: number[][] = []
  readonly #script: readonly number[]
  readonly #vocabularySize: number

  constructor(script: readonly number[], vocabularySize: number) {
    this.#script = script
    this.#vocabularySize = vocabularySize
  }

  async next(ids: readonly number[]): Promise<Float32Array> {
    this.fed.push([...ids])
    return logitsFor(this.#script[this.fed.length - 1]!, this.#vocabularySize)
  }
}

/** Runs a generation to its end. */
export async function collect(
  generation: AsyncGenerator<GenerationChunk, GenerationResult>,
): Promise<{ chunks: GenerationChunk[]; result: GenerationResult }> {
  const chunks: GenerationChunk[] = []
  for (;;) {
    const next = await generation.next()
    if (next.done === true) return { chunks, result: next.value }
    chunks.push(next.value)
  }
}
