import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { Engine } from '../src/engine/engine.ts'
import { blockBytes } from '../src/engine/plan/plan.ts'
import { CPU } from '../src/runtime/device.ts'
import { QUANTIZATIONS, type Quantization } from '../src/tensor/quantize.ts'
import { fromFloat32 } from '../src/tensor/tensor.ts'
import { writeSyntheticLlama } from '../test/checkpoint/synthetic.ts'
import { seededRandom } from '../test/checkpoint/write.ts'
import { BareChain } from './bare-chain.ts'
import { median } from './statistics.ts'

const SIZES = {
  numBlocks: 10,
  hiddenSize: 2048,
  intermediateSize: 5632,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 64,
  maxPositions: 1024,
}
const KV_SIZE = (SIZES.hiddenSize / SIZES.numHeads) * SIZES.numKvHeads
const ROUNDS = 7
const STEPS = 16

/** One block's matrices, [out, in], in an order in which each can take what the one before yields, or its input. */
const MATRICES: readonly (readonly [out: number, inner: number])[] = [
  [KV_SIZE, SIZES.hiddenSize],
  [KV_SIZE, SIZES.hiddenSize],
  [SIZES.hiddenSize, SIZES.hiddenSize],
  [SIZES.hiddenSize, SIZES.hiddenSize],
  [SIZES.intermediateSize, SIZES.hiddenSize],
  [SIZES.intermediateSize, SIZES.hiddenSize],
  [SIZES.hiddenSize, SIZES.intermediateSize],
]

/** Load time, bytes and decode time of each format; int4 beside float32, and beside nothing but its matrix products. */
export async function benchQuant(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-node-'))
  try {
    const { weightBytes } = await writeSyntheticLlama(folder, SIZES)
    const checkpoint = await openCheckpoint(folder)
    const spans: QuantizedSpan[] = []
    for (const quant of QUANTIZATIONS) spans.push(await QuantizedSpan.load(checkpoint, quant, weightBytes))
    using bare = new BareChain(MATRICES, SIZES.numBlocks)
    const bareRatios: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      for (const span of spans) span.times.push(await span.blockMs())
      bareRatios.push(spans.find(({ quant }) => quant === 'int4')!.times.at(-1)! / bare.blockMs(STEPS))
    }
    report(spans, bareRatios)
    for (const span of spans) await span.close()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function report(spans: readonly QuantizedSpan[], bareRatios: readonly number[]): void {
  const [full] = spans
  console.log('format   load, MB of bf16 weights a second   MB a block   decode, ms a block   times as fast as float32')
  for (const span of spans) {
    const speedup = median(span.times.map((ms, i) => full!.times[i]! / ms))
    console.log(
      [
        span.quant.padEnd(8),
        span.loadRate.toFixed(0).padStart(34),
        (span.bytes / 1e6).toFixed(0).padStart(12),
        median(span.times).toFixed(2).padStart(20),
        speedup.toFixed(2).padStart(25),
      ].join(' '),
    )
  }
  console.log(
    `int4: goal at least 3 times as fast as float32; ${median(bareRatios).toFixed(2)} times a bare chain of ` +
      'the same MatMulNBits (goal: at most 1.1)',
  )
}

class QuantizedSpan {
  readonly quant: Quantization
  readonly loadRate: number
  readonly bytes: number
  readonly times: number[] = []
  readonly #engine: Engine
  readonly #random = seededRandom(1)

  private constructor(quant: Quantization, engine: Engine, loadRate: number, bytes: number) {
    this.quant = quant
    this.loadRate = loadRate
    this.bytes = bytes
    this.#engine = engine
  }

  static async load(checkpoint: Checkpoint, quant: Quantization, weightBytes: number): Promise<QuantizedSpan> {
    const began = performance.now()
    const engine = await Engine.load({
      checkpoint,
      start: 0,
      end: SIZES.numBlocks,
      device: CPU,
      dtype: 'float32',
      quant,
      threads: availableParallelism(),
      spin: false,
      cacheTokens: 1024,
    })
    const seconds = (performance.now() - began) / 1000
    return new QuantizedSpan(
      quant,
      engine,
      weightBytes / 1e6 / seconds,
      blockBytes(checkpoint.config, { device: 'cpu', dtype: 'float32', quant }),
    )
  }

  async blockMs(): Promise<number> {
    const session = await this.#engine.openSession({
      start: 0,
      end: SIZES.numBlocks,
      maxLength: STEPS,
      timeoutMs: 1000,
    })
    const times: number[] = []
    for (let step = 0; step < STEPS; step++) {
      const hidden = fromFloat32(
        Float32Array.from({ length: SIZES.hiddenSize }, () => this.#random() - 0.5),
        [1, SIZES.hiddenSize],
      )
      const began = performance.now()
      await session.step(hidden)
      times.push(performance.now() - began)
    }
    session.release()
    return median(times) / SIZES.numBlocks
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }
}
