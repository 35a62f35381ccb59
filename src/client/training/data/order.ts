import { createHash } from 'node:crypto'
import { inPieces, turn } from '../../../base/pace.ts'
import { seededRandom } from '../../../sampling/random.ts'

/** How examples follow one another. */
export interface OrderOptions {
  readonly batchSize: number
  /** Whether each epoch has an order of its own. */
  readonly shuffle: boolean
  /** Whether examples of similar lengths are put into one batch, so that less is padding. */
  readonly bucket: boolean
  readonly seed: number
}

/** Batches among which examples are sorted by length. */
const BUCKET_BATCHES = 50

/** A seed of its own for each use of one seed, a safe integer. */
export function seedFor(seed: number, use: string): number {
  return createHash('sha256').update(`${seed}/${use}`).digest().readUIntBE(0, 6)
}

/**
 * An endless row of examples, epoch after epoch, in which every place has its example: whoever knows how many were
 * taken can go on. The same seed gives the same row on every machine.
 */
export class ExampleOrder {
  readonly #lengths: readonly number[]
  readonly #options: OrderOptions
  #epoch = -1
  #order: readonly number[] = []

  /** `lengths`: the tokens of each example. */
  constructor(lengths: readonly number[], options: OrderOptions) {
    this.#lengths = lengths
    this.#options = options
  }

  /** The numbers of the `count` examples from place `position` on. */
  async take(position: number, count: number): Promise<number[]> {
    const taken: number[] = []
    for (let place = position; place < position + count; place++) {
      const epoch = Math.floor(place / this.#lengths.length)
      if (epoch !== this.#epoch) {
        this.#order = await this.#orderOf(epoch)
        this.#epoch = epoch
      }
      taken.push(this.#order[place % this.#lengths.length]!)
    }
    return taken
  }

  async #orderOf(epoch: number): Promise<number[]> {
    const { shuffle, bucket, seed } = this.#options
    const random = seededRandom(seedFor(seed, `epoch ${epoch}`))
    const order = Array.from(this.#lengths.keys())
    if (shuffle) await shuffled(order, random)
    return bucket ? this.#bucketed(order, epoch, shuffle ? random : undefined) : order
  }

  /** Examples of similar lengths side by side, so that they share the batches of the row; `random` shuffles these. */
  async #bucketed(order: readonly number[], epoch: number, random: (() => number) | undefined): Promise<number[]> {
    const { batchSize } = this.#options
    // The epoch's first examples fill up the last one's last batch.
    const head = (batchSize - ((epoch * order.length) % batchSize)) % batchSize
    const sorted: number[] = order.slice(0, head)
    for (let from = head; from < order.length; from += BUCKET_BATCHES * batchSize) {
      sorted.push(
        ...order
          .slice(from, from + BUCKET_BATCHES * batchSize)
          .sort((a, b) => this.#lengths[b]! - this.#lengths[a]! || a - b),
      )
      await turn()
    }
    const full: number[][] = []
    let at = head
    for (; at + batchSize <= sorted.length; at += batchSize) {
      full.push(sorted.slice(at, at + batchSize))
      await turn()
    }
    if (random !== undefined) await shuffled(full, random)
    const row = sorted.slice(0, head)
    for (const batch of full) {
      row.push(...batch)
      await turn()
    }
    return row.concat(sorted.slice(at))
  }
}

/** Shuffles in place (Fisher and Yates). */
async function shuffled<T>(items: T[], random: () => number): Promise<void> {
  const { length } = items
  await inPieces(length - 1, (from, until) => {
    for (let done = from; done < until; done++) {
      const i = length - 1 - done
      const other = Math.floor(random() * (i + 1))
      const item = items[i]!
      items[i] = items[other]!
      items[other] = item
    }
  })
}
