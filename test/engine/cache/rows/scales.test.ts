import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../../src/checkpoint/checkpoint.ts'
import { CacheScales, scalesOf } from '../../../../src/engine/cache/rows/scales.ts'
import type { EngineSession } from '../../../../src/engine/session/engine-session.ts'
import { Engine } from '../../../../src/engine/engine.ts'
import { CPU } from '../../../../src/runtime/device.ts'
import { asFloat32, fromFloat32 } from '../../../../src/tensor/tensor.ts'
import { seededRandom } from '../../../checkpoint/write.ts'

const FIXTURES = join(import.meta.dirname, '../../../fixtures')
const TOKENS = 60

/** Shares of the root mean square of what is exact. */
const TOLERANCE = 0.04

async function load(context: TestContext, checkpoint: Checkpoint, kvDType?: 'int8'): Promise<Engine> {
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: checkpoint.config.numBlocks,
    device: CPU,
    dtype: 'float32',
    kvDType,
    threads: 1,
    spin: false,
    cacheTokens: 2048,
    prefillChunkTokens: 25,
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
    outputs.push(
      asFloat32(await session.step(fromFloat32(input.slice(at * width, (at + tokens) * width), [tokens, width]))),
    )
  }
  return Float32Array.from(outputs.flatMap((output) => [...output]))
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  return Math.hypot(...actual.map((x, i) => x - expected[i]!)) / Math.hypot(...expected)
}

/** But for numbers that are rounded to one side by prefill and to the other by steps. */
function assertSame(actual: Float32Array, expected: Float32Array, what: string): void {
  const error = relativeError(actual, expected)
  assert.ok(error < TOLERANCE / 20, `${what}: ${error}`)
}

const singles = (count: number): number[] => Array<number>(count).fill(1)

describe('an int8 cache', () => {
  for (const name of ['llama', 'llama-head20', 'bloom', 'falcon-7b', 'gemma2', 'phi3', 'qwen2', 'qwen3', 'glm']) {
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

  it('rounds by its first run alone: the same in pieces, in a batch, forked or replayed', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const width = checkpoint.config.hiddenSize
    const inputs = [1, 2, 3, 4].map((seed) => states(seed, width))
    const engine = await load(context, checkpoint, 'int8')
    const pieces = [10, ...singles(TOKENS - 10)]
    const alone: Float32Array[] = []
    for (const input of inputs) {
      const session = await open(engine)
      alone.push(await feed(session, input, pieces))
      for (const others of [
        [10, 50],
        [10, 1, 30, 19],
      ]) {
        session.truncate(0)
        assertSame(await feed(session, input, others), alone.at(-1)!, `pieces of ${others}`)
      }
      session.release()
    }
    const sessions = await Promise.all(inputs.map(() => open(engine)))
    const together = await Promise.all(sessions.map((session, i) => feed(session, inputs[i]!, pieces)))
    for (const [i, output] of together.entries()) assertSame(output, alone[i]!, `session ${i}`)

    const fork = await open(engine)
    await fork.forkFrom(sessions[0]!, 40)
    sessions[0]!.truncate(40)
    for (const session of [fork, sessions[0]!])
      assertSame(await feed(session, inputs[0]!, singles(20)), alone[0]!.subarray(40 * width), 'from 40 on')
  })

  it('takes a quarter of the memory', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const [exact, int8] = [await load(context, checkpoint), await load(context, checkpoint, 'int8')]
    assert.equal(exact.cacheBytes, 4 * int8.cacheBytes)
  })
})

describe('the scales of an int8 cache', () => {
  const capacity = 256,
    channels = 16

  function setUp() {
    const shape = { kvDType: 'int8', dtype: 'float32', kvHeads: 2, cacheHeadDim: 8 } as const
    const scales = new CacheScales(shape, scalesOf(shape, 1, 4 * capacity)!)
    /**
     * A run that uses one scale throughout each row, where none is given. Returns what it was given, of each row's
     * first key and last value.
     */
    const run = (pastLengths: readonly number[], used: readonly number[]): number[][] => {
      const batch = { offset: capacity, capacity, pastLengths }
      const tensors: Float32Array[] = []
      scales.bind((_, data) => BigInt(tensors.push(data)), batch, 0)
      const [keys, values, usedKeys, usedValues] = tensors
      for (const [row, scale] of used.entries())
        for (const values of [usedKeys!, usedValues!]) values.fill(scale, row * channels, (row + 1) * channels)
      scales.keep(batch, 0)
      return used.map((_, row) => [keys![row * channels]!, values![(row + 1) * channels - 1]!])
    }
    return { run, scales }
  }

  it('are set by the first run of a row and stay until it begins anew', () => {
    const { run } = setUp()
    assert.deepEqual(run([0, 0], [0.5, 0.25]), [
      [0, 0],
      [0, 0],
    ])
    assert.deepEqual(run([10, 3], [9, 9]), [
      [0.5, 0.5],
      [0.25, 0.25],
    ])
    assert.deepEqual(run([11, 0], [9, 2]), [
      [0.5, 0.5],
      [0, 0],
    ])
    assert.deepEqual(run([12, 1], [9, 9]), [
      [0.5, 0.5],
      [2, 2],
    ])
  })

  it('go with a row that is copied', () => {
    const { run, scales } = setUp()
    run([0], [0.5])
    scales.copy({ offset: capacity, capacity }, { offset: 2 * capacity, capacity }, 0, 1)
    assert.deepEqual(run([1, 1], [9, 9]), [
      [0.5, 0.5],
      [0.5, 0.5],
    ])
  })
})
