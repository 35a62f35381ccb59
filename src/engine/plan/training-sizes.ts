import type { TrainingGraphs } from '../../families/graphs/training-graphs.ts'
import type { AxisSizes } from '../../graph/dim-size.ts'
import { byteLength } from '../../tensor/tensor.ts'
import { intermediateBytes, valueBytes } from './plan-workspace.ts'

/** How a backward pass is cut up. */
export interface PassDivision {
  /** Sequences that are computed together: all blocks of these before any of others. */
  readonly groupRows: number
  /** Sequences of one run. */
  readonly pieceRows: number
  /** Blocks whose results are held at once, between their forward and their backward runs. */
  readonly chunkBlocks: number
}

/** What a backward pass is asked for. */
export interface PassSize {
  readonly blocks: number
  readonly sequences: number
  readonly tokens: number
  /** Of the adapter that it goes through; 0 without one. */
  readonly ranks: number
}

/** Tokens of a group, unless one sequence has more: others have their turn after it. */
const GROUP_TOKENS = 2048

/** Fewer tokens at a time than these rather have the blocks computed forward once more. */
const WANTED_TOKENS = 512

/** Hidden states of a group besides inputs of blocks: the request's two, what is answered, and one on its way. */
const COPIES = 4

const MAX_KNOWN = 256

/** Adapters of more ranks than most have leave room for somewhat shorter sequences. */
const USUAL_RANKS = 64

interface RunSizes {
  readonly saved: number
  readonly meanwhile: number
}

/** The memory that backward passes take, from the shapes of their graphs alone. */
export class TrainingSizes {
  readonly #kinds: readonly TrainingGraphs[]
  readonly #weights: readonly number[]
  readonly #hiddenSize: number
  readonly #pieceTokens: number
  /** Batches of a training have a few shapes, and graphs of mixtures thousands of nodes. */
  readonly #known = new Map<string, RunSizes>()

  /** `graphs` has one for each block; `pieceTokens` are what a run has at most, unless one sequence is longer. */
  constructor(graphs: readonly TrainingGraphs[], hiddenSize: number, pieceTokens: number) {
    this.#kinds = [...new Set(graphs)]
    this.#weights = graphs.map(({ weights }) =>
      weights.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0),
    )
    this.#hiddenSize = hiddenSize
    this.#pieceTokens = pieceTokens
  }

  /** Bytes of the largest block's weights, in float32. */
  get blockBytes(): number {
    return Math.max(...this.#weights)
  }

  /** Bytes of all blocks' weights. */
  get weightBytes(): number {
    return this.#weights.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** What one sequence of so many tokens takes at least, with an adapter of a usual rank. */
  sequenceBytes(blocks: number, tokens: number): number {
    const sizes = this.#runSizes({ rows: 1, tokens, ranks: USUAL_RANKS })
    return this.#passBytes({ blocks, tokens }, sizes, { groupRows: 1, pieceRows: 1, chunkBlocks: 1 })
  }

  /** The most tokens, up to `limit`, of a sequence that fits into the memory; 0 where none does. */
  longestSequence(blocks: number, memoryBytes: number, limit: number): number {
    let fits = 0
    for (let above = limit + 1; above - fits > 1;) {
      const middle = Math.floor((fits + above) / 2)
      if (this.sequenceBytes(blocks, middle) <= memoryBytes) fits = middle
      else above = middle
    }
    return fits
  }

  /**
   * Cuts a pass up so that it stays within the memory: as many blocks at a time as may be, since with all of them no
   * block is computed twice. Undefined where not one sequence fits.
   */
  divide({ blocks, sequences, tokens, ranks }: PassSize, memoryBytes: number): PassDivision | undefined {
    const atMost = (limit: number) => Math.max(1, Math.min(sequences, Math.floor(limit / tokens)))
    const wanted = Math.min(sequences * tokens, WANTED_TOKENS)
    for (let pieceRows = atMost(this.#pieceTokens); pieceRows >= 1; pieceRows = Math.floor(pieceRows / 2)) {
      const sizes = this.#runSizes({ rows: pieceRows, tokens, ranks })
      const fits = (groupRows: number, chunkBlocks: number) =>
        this.#passBytes({ blocks, tokens }, sizes, { groupRows, pieceRows, chunkBlocks }) <= memoryBytes
      for (let chunkBlocks = blocks; chunkBlocks >= 1; chunkBlocks--) {
        const most = largest(atMost(GROUP_TOKENS), (rows) => fits(rows, chunkBlocks))
        const groupRows = most && Math.ceil(sequences / Math.ceil(sequences / most))
        if (groupRows * tokens >= wanted || (chunkBlocks === 1 && groupRows >= pieceRows))
          return { groupRows, pieceRows: Math.min(pieceRows, groupRows), chunkBlocks }
      }
    }
    return undefined
  }

  /** What a run of so many sequences keeps for its backward run, and what the largest takes meanwhile. */
  #runSizes(axes: AxisSizes): RunSizes {
    const key = JSON.stringify(axes)
    const known = this.#known.get(key) ?? this.#measure(axes)
    if (this.#known.size === MAX_KNOWN) this.#known.clear()
    this.#known.set(key, known)
    return known
  }

  #measure(sizes: AxisSizes): RunSizes {
    const saved = this.#kinds.map((kind) => kind.saved.reduce((sum, value) => sum + valueBytes(value, sizes), 0))
    const meanwhile = this.#kinds.flatMap(({ forward, backward, both }) => [
      intermediateBytes(forward, sizes),
      intermediateBytes(backward, sizes),
      intermediateBytes(both, sizes),
    ])
    return { saved: Math.max(...saved), meanwhile: Math.max(...meanwhile) }
  }

  /**
   * The group's hidden states, where each chunk begins and at each block of one; what all runs of a chunk keep, but
   * those of its last block, which are forward and backward at once; and what a run takes meanwhile.
   */
  #passBytes(
    { blocks, tokens }: Pick<PassSize, 'blocks' | 'tokens'>,
    { saved, meanwhile }: RunSizes,
    { groupRows, pieceRows, chunkBlocks }: PassDivision,
  ): number {
    const groupBytes = groupRows * tokens * this.#hiddenSize * Float32Array.BYTES_PER_ELEMENT
    const chunks = Math.ceil(blocks / chunkBlocks)
    const runs = Math.ceil(groupRows / pieceRows)
    return (chunks + chunkBlocks + COPIES) * groupBytes + (chunkBlocks - 1) * runs * saved + meanwhile
  }
}

/** The largest number up to `most` for which it holds, as it does for all that are less; 0 where it never does. */
function largest(most: number, holds: (count: number) => boolean): number {
  let found = 0
  for (let above = most + 1; above - found > 1;) {
    const middle = Math.floor((found + above) / 2)
    if (holds(middle)) found = middle
    else above = middle
  }
  return found
}
