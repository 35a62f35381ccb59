import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../../src/checkpoint/checkpoint.ts'
import { RowCache } from '../../../../src/engine/cache/rows/row-cache.ts'
import {
  basesMemory,
  cacheWindow,
  RowBases,
  rowCost,
  stretchedTokens,
} from '../../../../src/engine/cache/rows/window.ts'
import { BlockMemory } from '../../../../src/engine/cache/rows/row-memory.ts'
import type { EngineSession } from '../../../../src/engine/session/engine-session.ts'
import { Engine } from '../../../../src/engine/engine.ts'
import { CPU } from '../../../../src/runtime/device.ts'
import { viewOf } from '../../../../src/runtime/library.ts'
import { memoryIsSparse } from '../../../../src/runtime/system-memory.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { seededRandom } from '../../../checkpoint/write.ts'

const FIXTURES = join(import.meta.dirname, '../../../fixtures')
const TOKENS = 700
const TOLERANCE = 2e-5

/**
 * The window of all fixtures is 6: with chunks of 64 tokens long rows have 256 slots; with chunks of 1024 as many as
 * positions.
 */
const SLIDING = 64,
  WHOLE = 1024

async function openLong(name: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(join(FIXTURES, name))
  return { ...checkpoint, config: { ...checkpoint.config, maxLength: 4096 } }
}

async function load(
  context: TestContext,
  checkpoint: Checkpoint,
  prefillChunkTokens: number,
  kvDType?: 'int8',
): Promise<Engine> {
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: checkpoint.config.numBlocks,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 8192,
    prefillChunkTokens,
    kvDType,
  })
  context.after(() => engine.close())
  return engine
}

function states(seed: number, width: number): Float32Array {
  const random = seededRandom(seed)
  return Float32Array.from({ length: TOKENS * width }, () => 2 * random() - 1)
}

function open(engine: Engine, maxLength = TOKENS): Promise<EngineSession> {
  return engine.openSession({ start: engine.start, end: engine.end, maxLength, timeoutMs: 0 })
}

/** Steps of `tokens` positions each, until the session holds `until`. */
async function feed(session: EngineSession, input: Float32Array, until: number, tokens: number): Promise<Float32Array> {
  const width = input.length / TOKENS,
    from = session.position
  const output = new Float32Array((until - from) * width)
  while (session.position < until) {
    const at = session.position,
      count = Math.min(tokens, until - at)
    const step: Tensor = fromFloat32(input.slice(at * width, (at + count) * width), [count, width])
    output.set(asFloat32(await session.step(step)), (at - from) * width)
  }
  return output
}

async function references(engine: Engine, inputs: readonly Float32Array[]): Promise<Float32Array[]> {
  return Promise.all(
    inputs.map(async (input) => {
      const session = await open(engine)
      const output = await feed(session, input, TOKENS, TOKENS)
      session.release()
      return output
    }),
  )
}

function assertEqual(actual: Float32Array, expected: Float32Array, from: number): void {
  const width = expected.length / TOKENS
  for (const [i, value] of actual.entries()) {
    const wanted = expected[from * width + i]!
    assert.ok(Math.abs(value - wanted) < TOLERANCE, `position ${from + Math.floor(i / width)}: ${value} for ${wanted}`)
  }
}

describe('rows of windowed blocks that hold the latest positions only', () => {
  // Where all blocks have a window, and where some have, single tokens for long: rows slide under them; else a few.
  for (const [name, singles] of [
    ['mistral', 220],
    ['gemma3', 220],
    ['gemma2', 20],
    ['phi3', 20],
    ['qwen2-window', 20],
    ['mixtral-window', 20],
    ['qwen3-window-biases', 20],
    ['cohere2', 20],
    ['smollm3-window-biases', 20],
    ['gpt-oss', 20],
  ] as const) {
    it(`give what whole rows give: ${name}`, async (context) => {
      const checkpoint = await openLong(name)
      const {
        config: { hiddenSize },
      } = checkpoint
      const inputs = [1, 2, 3].map((seed) => states(seed, hiddenSize))
      const [sliding, whole] = [await load(context, checkpoint, SLIDING), await load(context, checkpoint, WHOLE)]
      const expected = await references(whole, inputs)

      const sessions = await Promise.all(inputs.map(() => open(sliding)))
      await Promise.all(
        sessions.map(async (session, i) => {
          for (const [until, tokens] of [
            [90 + 70 * i, 33],
            [Math.max(90 + 70 * i, 300 - singles), 10],
            [300, 1],
            [TOKENS - singles, 100],
            [TOKENS, 1],
          ] as const) {
            const from = session.position
            assertEqual(await feed(session, inputs[i]!, until, tokens), expected[i]!, from)
          }
        }),
      )
    })
  }

  it('can be cut back a little, and forked; cut back far they are empty and can be filled again', async (context) => {
    const checkpoint = await openLong('gemma3')
    const [input, other] = [states(1, checkpoint.config.hiddenSize), states(2, checkpoint.config.hiddenSize)]
    const [sliding, whole] = [await load(context, checkpoint, SLIDING), await load(context, checkpoint, WHOLE)]
    const [expected] = await references(whole, [input])

    const session = await open(sliding)
    await feed(session, input, 500, 64)
    await feed(session, other, 600, 64)
    session.truncate(500)
    assert.equal(session.position, 500)
    assertEqual(await feed(session, input, 550, 1), expected!, 500)

    const fork = await open(sliding, TOKENS + 1000)
    await feed(fork, other, 100, 64)
    await fork.forkFrom(session, 530)
    assertEqual(await feed(fork, input, TOKENS, 7), expected!, 530)
    assertEqual(await feed(session, input, TOKENS, 50), expected!, 550)

    session.truncate(300)
    assert.equal(session.position, 0)
    sliding.on('fault', (error) => assert.fail(`no fault of the device: ${error.message}`))
    await assert.rejects(fork.forkFrom(await filled(sliding, input), 10), { code: 'SESSION_FORK' })
    assert.equal(fork.position, 0)
    for (const empty of [session, fork]) assertEqual(await feed(empty, input, TOKENS, 99), expected!, 0)
  })

  it('that were cut back to nothing begin anew with single tokens, in whichever thread', async (context) => {
    const checkpoint = await openLong('mistral')
    const input = states(1, checkpoint.config.hiddenSize)
    const [sliding, whole] = [await load(context, checkpoint, SLIDING), await load(context, checkpoint, WHOLE)]
    const [expected] = await references(whole, [input])
    const session = await open(sliding)
    await feed(session, input, 500, 64)
    await feed(session, input, TOKENS, 1)
    session.truncate(0)
    assertEqual(await feed(session, input, 20, 1), expected!, 0)
  })

  it('give what whole rows give under deep prompts that are longer than the slots', async (context) => {
    const checkpoint = await openLong('mistral')
    const { numBlocks, hiddenSize } = checkpoint.config
    const random = seededRandom(5)
    const prompts = fromFloat32(
      Float32Array.from({ length: numBlocks * 600 * hiddenSize }, () => random() - 0.5),
      [numBlocks, 600, hiddenSize],
    )
    const outputs: Float32Array[] = []
    for (const chunk of [SLIDING, WHOLE]) {
      const engine = await load(context, checkpoint, chunk)
      const session = await engine.openSession({ start: 0, end: numBlocks, maxLength: TOKENS, prompts, timeoutMs: 0 })
      outputs.push(await feed(session, states(1, hiddenSize), TOKENS, TOKENS))
    }
    assertEqual(outputs[0]!, outputs[1]!, 0)
  })

  it('give nearly what whole rows give in int8', async (context) => {
    const checkpoint = await openLong('gemma3')
    const input = states(1, checkpoint.config.hiddenSize)
    const [sliding, whole] = [await load(context, checkpoint, SLIDING, 'int8'), await load(context, checkpoint, WHOLE)]
    const [expected] = await references(whole, [input])
    const session = await open(sliding)
    const output = Float32Array.from([
      ...(await feed(session, input, 500, 64)),
      ...(await feed(session, input, TOKENS, 1)),
    ])
    const [error, size] = [output.map((x, i) => x - expected![i]!), expected!].map((values) => Math.hypot(...values))
    assert.ok(error! < 0.05 * size!, `${error! / size!}`)
  })

  it('cost what they hold, so that more of them fit', { skip: !memoryIsSparse() }, async (context) => {
    const engine = await load(context, await openLong('mistral'), SLIDING)
    const input = states(1, engine.config.hiddenSize)
    const sessions: EngineSession[] = []
    // Rows that are declared longer than their slots never cost more than these, 256 tokens.
    for (let i = 0; i < 8192 / 256; i++) {
      sessions.push(await open(engine))
      await feed(sessions.at(-1)!, input, 300, 64)
    }
    assert.equal(engine.cacheTokensLeft, 0)
    await assert.rejects(open(engine, 1), { code: 'CACHE_FULL' })
    await feed(sessions[0]!, input, TOKENS, 64)
    for (const session of sessions) session.release()
    assert.equal(engine.cacheTokensLeft, 8192)
  })
})

async function filled(engine: Engine, input: Float32Array): Promise<EngineSession> {
  const session = await open(engine)
  await feed(session, input, TOKENS, 64)
  return session
}

describe('the window of a cache', () => {
  const window = cacheWindow([{ window: 100 }, {}, { window: 100 }], 64)!

  it('has slots for the window, a cut-back and a step', () => {
    assert.deepEqual(window, { blocks: [true, false, true], window: 100, slots: 384 })
    assert.equal(cacheWindow([{}, {}], 64), undefined)
  })

  it('makes rows cheaper that are longer than it', () => {
    assert.equal(rowCost(window, 384), 384)
    assert.equal(rowCost(window, 3072), (3072 + 2 * 384) / 3)
    assert.equal(stretchedTokens(window, 3, 1000, 128), 4000)
    assert.equal(stretchedTokens(window, 3, 1000, 3072), 6000)
    assert.equal(stretchedTokens(window, 32, 1000, 3072), 9600)
    assert.equal(stretchedTokens(undefined, 32, 1000, 3072), 4000)
  })

  it('slides rows to their latest positions, in its own blocks alone, and gives memory back', (context) => {
    const capacity = 1024,
      headDim = 4,
      kvHeads = 2
    const cache = new BlockMemory(CPU, 3, 4 * capacity * kvHeads * headDim * 4)
    context.after(() => cache.release())
    const positions = cache.blocks
      .flatMap(({ key, value }) => [key, value])
      .map((address) => new Float32Array(viewOf(address, 4 * capacity * kvHeads * headDim * 4).buffer))
    for (const values of positions)
      for (let i = 0; i < values.length; i++) values[i] = Math.floor(i / headDim) % capacity
    const shared = { ...window, bases: basesMemory(4 * capacity) }
    const tokenBytes = kvHeads * headDim * 4
    const memory = {
      device: CPU,
      kvHeads,
      tokenBytes,
      blocks: cache.blocks,
      window: shared,
      discards: memoryIsSparse(),
    }
    const rows = new RowCache(memory, { kvHeads, cacheHeadDim: headDim })
    const bases = new RowBases(shared)
    const row = { offset: capacity, capacity }
    const place = (length: number) => {
      rows.truncate(1, length)
      rows.slide(1, 1, { start: 0, end: 3 })
      return rows.basesOf([row])
    }
    rows.reserve(1, row)
    rows.append(1, 1000)

    assert.deepEqual(place(384), [384 - 99 - 128])
    const first = (block: number, at: number, head: number) =>
      positions[2 * block]![(at * kvHeads + head) * capacity * headDim]
    assert.deepEqual(
      [0, 1, 2].map((block) => first(block, 1, 1)),
      [157, 0, 157],
    )
    assert.deepEqual(
      [0, 1, 2].map((block) => first(block, 2, 1)),
      [0, 0, 0],
    )
    assert.deepEqual(
      [
        [255, false],
        [256, true],
        [0, true],
      ].map(([at]) => bases.reaches(row, at as number)),
      [false, true, true],
    )
    assert.throws(() => rows.truncate(1, 255), { code: 'SESSION_POSITION' })
    assert.equal(rows.lengthOf(1), 384)
    assert.deepEqual(place(0), [0])

    rows.release(1)
    if (!memoryIsSparse()) return
    const middle = (kvHeads * capacity + capacity) * headDim
    assert.deepEqual(
      positions.map((values) => values[middle]),
      [0, 0, 0, 0, 0, 0],
    )
    assert.equal(positions[0]![2 * kvHeads * capacity * headDim + 8 * headDim], 8)
  })
})
