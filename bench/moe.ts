import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { Engine } from '../src/engine/engine.ts'
import { CPU } from '../src/runtime/device.ts'
import { fromFloat32 } from '../src/tensor/tensor.ts'
import { writeSyntheticLlama } from '../test/checkpoint/synthetic.ts'
import { seededRandom } from '../test/checkpoint/write.ts'
import { median } from './statistics.ts'

const SIZES = {
  hiddenSize: 2048,
  intermediateSize: 5632,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 64,
  maxPositions: 1024,
}
const CHOSEN = 2
const MANY = 8

/** As many bytes of experts in all with few as with many: a large cache would hold more of the smaller model. */
const BLOCKS = { few: 8, many: 2 }
const ROUNDS = 7
const STEPS = 12
const EXPERT_BYTES = 3 * SIZES.hiddenSize * SIZES.intermediateSize * 4

/**
 * What a decode step of a mixture of experts costs with two and with eight of them, and which of their bytes it reads.
 */
export async function benchMoe(): Promise<void> {
  await using few = await Mixture.load(CHOSEN, BLOCKS.few)
  await using many = await Mixture.load(MANY, BLOCKS.many)
  const ratios: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [fewMs, manyMs] = [await few.blockMs(), await many.blockMs()]
    ratios.push(manyMs / fewMs)
    console.log(
      `round ${round + 1}: ${fewMs.toFixed(2)} ms a block with ${CHOSEN} experts, ${manyMs.toFixed(2)} with ` +
        `${MANY}, ratio ${(manyMs / fewMs).toFixed(2)}`,
    )
  }
  console.log(`median ratio ${median(ratios).toFixed(2)} (goal: at most 1.3)`)
  if (process.platform !== 'linux') return
  const read = await many.expertBytesOfStep()
  console.log(
    `one step of ${MANY} experts touches ${mb(read)} of the experts' ${mb(MANY * EXPERT_BYTES * BLOCKS.many)}; ` +
      `the chosen ones are ${mb(CHOSEN * EXPERT_BYTES * BLOCKS.many)}`,
  )
}

class Mixture implements AsyncDisposable {
  readonly #engine: Engine
  readonly #numBlocks: number
  readonly #random = seededRandom(1)

  private constructor(engine: Engine, numBlocks: number) {
    this.#engine = engine
    this.#numBlocks = numBlocks
  }

  static async load(numExperts: number, numBlocks: number): Promise<Mixture> {
    const folder = await mkdtemp(join(tmpdir(), 'petals-node-'))
    try {
      await writeSyntheticLlama(folder, { ...SIZES, numBlocks, numExperts })
      const checkpoint = await openCheckpoint(folder)
      return new Mixture(
        await Engine.load({
          checkpoint,
          start: 0,
          end: numBlocks,
          device: CPU,
          dtype: 'float32',
          threads: availableParallelism(),
          spin: false,
          cacheTokens: 2048,
        }),
        numBlocks,
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** Of one step through one block. */
  async blockMs(steps = STEPS): Promise<number> {
    const session = await this.#engine.openSession({
      start: 0,
      end: this.#numBlocks,
      maxLength: steps,
      timeoutMs: 1000,
    })
    const times: number[] = []
    for (let step = 0; step < steps; step++) {
      const hidden = fromFloat32(
        Float32Array.from({ length: SIZES.hiddenSize }, () => this.#random() - 0.5),
        [1, SIZES.hiddenSize],
      )
      const began = performance.now()
      await session.step(hidden)
      times.push(performance.now() - began)
    }
    session.release()
    return median(times) / this.#numBlocks
  }

  /** Of the memory that holds experts, the pages that one step refers to, as the system counts them. */
  async expertBytesOfStep(): Promise<number> {
    writeFileSync('/proc/self/clear_refs', '1')
    await this.blockMs(1)
    // Gate and up of all experts, or down, or several of these in one: nothing else of this process is as large as a
    // third.
    const least = (MANY * EXPERT_BYTES) / 3
    return readFileSync('/proc/self/smaps', 'utf8')
      .split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)
      .filter((mapping) => kilobytes(mapping, 'Size') * 1024 >= least)
      .reduce((bytes, mapping) => bytes + kilobytes(mapping, 'Referenced') * 1024, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close()
  }
}

function kilobytes(mapping: string, field: string): number {
  return Number(new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(mapping)?.[1] ?? 0)
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}
