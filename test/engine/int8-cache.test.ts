import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { CacheMemory } from '../../src/engine/cache-memory.ts'
import { CacheScales, scalesOf } from '../../src/engine/cache-scales.ts'
import type { EngineSession } from '../../src/engine/engine-session.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { LoadedSpan } from '../../src/engine/runner.ts'
import type { Batch } from '../../src/engine/scheduler.ts'
import { CPU } from '../../src/runtime/device.ts'
import { viewOf } from '../../src/runtime/library.ts'
import { asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { seededRandom } from '../checkpoint/write.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')
const TOKENS = 60

/** Shares of the root mean square of what is exact. */
const TOLERANCE = 0.04

async function load(context: TestContext, checkpoint: Checkpoint, kvDType?: 'int8'): Promise<Engine> {
  const engine = await Engine.load({
    checkpoint, start: 0, end: checkpoint.config.numBlocks, device: CPU, dtype: 'float32', kvDType, threads: 1, spin: false, cacheTokens: 2048, prefillChunkTokens: 25,
  })
  context.after(() => engine.close())
  return engine
}

function states(seed: number, width: number): Float32Array {
  const random = seededRandom(seed)
  return Float32Array.from({ length: TOKENS * width }, () => 2 * random() - 1)
}

function open(engine: Engine): Promise<EngineSession> {
  return engine.openSession({ start: engine.start, end: engine.end, maxLength: TOKENS, timeoutMs: 0 })
}

async function feed(session: EngineSession, input: Float32Array, pieces: readonly number[]): Promise<Float32Array> {
  const width = input.length / TOKENS
  const outputs: Float32Array[] = []
  for (const tokens of pieces) {
    const at = session.position
    outputs.push(asFloat32(await session.step(fromFloat32(input.slice(at * width, (at + tokens) * width), [tokens, width]))))
  }
  return Float32Array.from(outputs.flatMap((output) => [...output]))
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  const squares = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0)
  return Math.sqrt(squares(actual.map((x, i) => x - expected[i]!)) / squares(expected))
}

const singles = (count: number): number[] => Array<number>(count).fill(1)

describe('an int8 cache', () => {
  for (const name of ['llama', 'llama-head20', 'bloom', 'falcon-7b', 'gemma2', 'phi3', 'qwen2', 'qwen3']) {
    it(`gives nearly what an exact one does, in whatever pieces: ${name}`, async (context) => {
      const checkpoint = await openCheckpoint(join(FIXTURES, name))
      const input = states(1, checkpoint.config.hiddenSize)
      const [exact, int8] = [await load(context, checkpoint), await load(context, checkpoint, 'int8')]
      const expected = await feed(await open(exact), input, [TOKENS])
      for (const pieces of [[TOKENS], singles(TOKENS), [1, 20, 1, 1, 37]]) {
        const session = await open(int8)
        const error = relativeError(await feed(session, input, pieces), expected)
        assert.ok(error > 1e-4 && error < TOLERANCE, `pieces of ${pieces}: ${error}`)
        session.release()
      }
    })
  }

  it('gives each session of a batch what it gets alone, cut back and forked', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const inputs = [1, 2, 3, 4].map((seed) => states(seed, checkpoint.config.hiddenSize))
    const engine = await load(context, checkpoint, 'int8')
    const pieces = [10, ...singles(TOKENS - 10)]
    const alone: Float32Array[] = []
    for (const input of inputs) {
      const session = await open(engine)
      alone.push(await feed(session, input, pieces))
      session.release()
    }
    const sessions = await Promise.all(inputs.map(() => open(engine)))
    const together = await Promise.all(sessions.map((session, i) => feed(session, inputs[i]!, pieces)))
    for (const [i, output] of together.entries()) assert.ok(relativeError(output, alone[i]!) < TOLERANCE / 4, `session ${i}: ${relativeError(output, alone[i]!)}`)

    const fork = await open(engine)
    await fork.forkFrom(sessions[0]!, 40)
    sessions[0]!.truncate(40)
    const width = checkpoint.config.hiddenSize
    for (const session of [fork, sessions[0]!]) {
      const error = relativeError(await feed(session, inputs[0]!, singles(20)), alone[0]!.subarray(40 * width))
      assert.ok(error < TOLERANCE, `${error}`)
    }
  })

  it('takes a quarter of the memory', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const [exact, int8] = [await load(context, checkpoint), await load(context, checkpoint, 'int8')]
    assert.equal(exact.cacheBytes, 4 * int8.cacheBytes)
  })
})

describe('the scales of an int8 cache', () => {
  const capacity = 256, kvHeads = 2, cacheHeadDim = 8, channels = kvHeads * cacheHeadDim

  function setUp(context: TestContext) {
    const cache = new CacheMemory(CPU, 1, 4 * capacity * channels)
    context.after(() => cache.release())
    const sizes = { kvDType: 'int8', kvHeads, cacheHeadDim, inputs: [new Set<string>()] } as unknown as LoadedSpan
    const span = { ...sizes, caches: cache.blocks }
    const scales = new CacheScales(span, scalesOf(span, 4 * capacity)!)
    const keys = new Int8Array(viewOf(cache.blocks[0]!.key, 4 * capacity * channels).buffer)
    /** A run in which the keys of one row need these scales, and the values none. */
    const run = (batch: Partial<Batch>, needed: readonly (readonly [row: number, channel: number, scale: number])[]): { used: Float32Array, fits: boolean } => {
      const whole = { offset: capacity, capacity, start: 0, end: 1, tokens: 1, pastLengths: [10, 10], ...batch } as Batch
      const wrapped: Float32Array[] = []
      scales.bind((_, data) => BigInt(wrapped.push(data)), whole, 0)
      const [used, , neededKeys, neededValues] = wrapped
      for (const values of [neededKeys!, neededValues!]) values.fill(0)
      for (const [row, channel, scale] of needed) neededKeys![row * channels + channel] = scale
      return { used: used!.slice(), fits: scales.settle(whole, 0) }
    }
    const cell = (row: number, channel: number, position: number) => ((row * kvHeads + Math.floor(channel / cacheHeadDim)) * capacity + position) * cacheHeadDim + channel % cacheHeadDim
    return { run, keys, cell, scales }
  }

  it('grow with what comes, round what lies there again, and call for another run where too much was cut off', (context) => {
    const { run, keys, cell } = setUp(context)
    assert.equal(run({ pastLengths: [0, 0], tokens: 10 }, [[1, 9, 0.5]]).fits, true, 'nothing lay there before')
    for (const [position, steps] of [[0, 100], [1, -3], [2, 5], [10, 7]] as const) keys[cell(2, 9, position)] = steps
    keys[cell(2, 8, 0)] = 99
    const { used, fits } = run({}, [[1, 9, 0.55]])
    assert.deepEqual([used[channels + 9], fits], [0.5, true])
    assert.equal(run({}, [[1, 9, 0.5]]).used[channels + 9], Math.fround(0.55), 'they do not shrink')
    assert.equal(run({}, [[1, 9, 1.1]]).fits, false)
    assert.deepEqual([0, 1, 2, 10, 11].map((position) => keys[cell(2, 9, position)]), [46, -2, 2, 3, 0])
    assert.equal(keys[cell(2, 8, 0)], 99)
    assert.equal(run({ pastLengths: [10, 0] }, []).used[channels + 9], 0, 'a row that begins anew has none')
  })

  it('are not those of rows that only lie between others', (context) => {
    const { run } = setUp(context)
    run({ pastLengths: [0, 0], tokens: 10 }, [[0, 3, 0.5], [1, 3, 0.5]])
    assert.equal(run({ idle: [false, true] }, [[0, 3, 2], [1, 3, 2]]).fits, false)
    assert.deepEqual([3, channels + 3].map((i) => run({}, []).used[i]), [2, 0.5])
  })

  it('go with a row that is copied', (context) => {
    const { run, scales } = setUp(context)
    run({ pastLengths: [0, 0], tokens: 10 }, [[0, 3, 0.5]])
    scales.copy({ offset: capacity, capacity }, { offset: 2 * capacity, capacity }, 0, 1)
    assert.equal(run({}, []).used[channels + 3], 0.5)
  })
})
