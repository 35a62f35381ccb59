import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { Engine } from '../src/engine/engine.ts'
import type { EngineSession } from '../src/engine/session/engine-session.ts'
import { blockBytes } from '../src/engine/plan/plan.ts'
import { CPU } from '../src/runtime/device.ts'
import { QUANTIZATIONS, type Quantization } from '../src/tensor/quantize.ts'
import { fromFloat32, type Tensor } from '../src/tensor/tensor.ts'
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
const SESSIONS = 16
const BATCHED_STEPS = 4
const PREFILL_TOKENS = 512

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

/**
 * Load time, bytes and the times of decode steps, of batches and of prefills in each format; int4 beside nothing but
 * its matrix products.
 */
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
      for (const span of spans) {
        span.times.push(await span.blockMs())
        span.batchTimes.push(await span.batchMs())
        span.prefillTimes.push(await span.prefillMs())
      }
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
  console.log(
    'format   load, MB of bf16 weights a second   MB a block   decode, ms a block   times as fast as float32' +
      `   ${SESSIONS} rows, ms a block   tokens/s beside one row` +
      `   prefill of ${PREFILL_TOKENS}, ms a block   beside float32`,
  )
  for (const span of spans) {
    const speedup = median(span.times.map((ms, i) => full!.times[i]! / ms))
    console.log(
      [
        span.quant.padEnd(8),
        span.loadRate.toFixed(0).padStart(34),
        (span.bytes / 1e6).toFixed(0).padStart(12),
        median(span.times).toFixed(2).padStart(20),
        speedup.toFixed(2).padStart(25),
        median(span.batchTimes).toFixed(2).padStart(21),
        median(span.times.map((ms, i) => (SESSIONS * ms) / span.batchTimes[i]!))
          .toFixed(2)
          .padStart(25),
        median(span.prefillTimes).toFixed(1).padStart(30),
        median(span.prefillTimes.map((ms, i) => ms / full!.prefillTimes[i]!))
          .toFixed(2)
          .padStart(16),
      ].join(' '),
    )
  }
  console.log(
    "goals: int8's prefill at most as long as float32's; int4's 16 rows at least 4 times one row's tokens/s; " +
      `int4 at least 3 times as fast as float32; it takes ${median(bareRatios).toFixed(2)} times as long as ` +
      'a bare chain of the same MatMulNBits (goal: at most 1.1)',
  )
}

class QuantizedSpan {
  readonly quant: Quantization
  readonly loadRate: number
  readonly bytes: number
  readonly times: number[] = []
  readonly batchTimes: number[] = []
  readonly prefillTimes: number[] = []
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
      cacheTokens: 16_384,
    })
    const seconds = (performance.now() - began) / 1000
    return new QuantizedSpan(
      quant,
      engine,
      weightBytes / 1e6 / seconds,
      blockBytes(checkpoint.config, { device: 'cpu', dtype: 'float32', quant }),
    )
  }

  /** Of one session's decode steps. */
  async blockMs(): Promise<number> {
    const session = await this.#open(STEPS)
    const times: number[] = []
    for (let step = 0; step < STEPS; step++) times.push(await timed(session.step(this.#hidden(1))))
    session.release()
    return median(times) / SIZES.numBlocks
  }

  /** Of one decode step of all of 16 sessions. */
  async batchMs(): Promise<number> {
    const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => this.#open(BATCHED_STEPS)))
    const times: number[] = []
    for (let step = 0; step < BATCHED_STEPS; step++) {
      const inputs = sessions.map(() => this.#hidden(1))
      times.push(await timed(Promise.all(sessions.map((session, i) => session.step(inputs[i]!)))))
    }
    for (const session of sessions) session.release()
    return median(times) / SIZES.numBlocks
  }

  async prefillMs(): Promise<number> {
    const session = await this.#open(PREFILL_TOKENS)
    const ms = await timed(session.step(this.#hidden(PREFILL_TOKENS)))
    session.release()
    return ms / SIZES.numBlocks
  }

  #open(maxLength: number): Promise<EngineSession> {
    return this.#engine.openSession({ start: 0, end: SIZES.numBlocks, maxLength, timeoutMs: 1000 })
  }

  #hidden(tokens: number): Tensor {
    const size = tokens * SIZES.hiddenSize
    return fromFloat32(
      Float32Array.from({ length: size }, () => this.#random() - 0.5),
      [tokens, SIZES.hiddenSize],
    )
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }
}

async function timed(work: Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work
  return performance.now() - began
}
