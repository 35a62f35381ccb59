import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, after, before, describe, it } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { RunReport } from '../../src/engine/thread/messages.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../src/tensor/tensor.ts'
import { seededRandom } from '../checkpoint/write.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')
const MINUTE = 60_000
const CHUNK = 16

function loadEngine(checkpoint: Checkpoint, kvDType?: 'int8'): Promise<Engine> {
  const { numBlocks } = checkpoint.config
  return Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device: CPU,
    dtype: 'float32',
    kvDType,
    threads: 1,
    spin: false,
    cacheTokens: 128,
    prefillChunkTokens: CHUNK,
  })
}

async function load(context: TestContext, checkpoint: Checkpoint, kvDType?: 'int8'): Promise<Engine> {
  const engine = await loadEngine(checkpoint, kvDType)
  context.after(() => engine.close())
  return engine
}

function states(seed: number, shape: readonly number[]): Tensor {
  const random = seededRandom(seed)
  return fromFloat32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * random() - 1),
    shape,
  )
}

function copyOf(source: Tensor): Tensor {
  return { ...source, data: source.data.slice() }
}

/** What a session gives for each sequence alone, in one step. */
async function stepped(engine: Engine, input: Tensor, prompts?: Tensor): Promise<Float32Array[]> {
  const [sequences = 0, tokens = 0, width = 0] = input.shape
  const rows = { ...input, shape: [sequences * tokens, width] }
  const outputs: Float32Array[] = []
  for (let i = 0; i < sequences; i++) {
    const session = await engine.openSession({ start: 0, end: engine.end, maxLength: 128, prompts, timeoutMs: 0 })
    outputs.push(asFloat32(await session.step(copyOf(sliceRows(rows, i * tokens, (i + 1) * tokens)))))
    session.release()
  }
  return outputs
}

function assertClose(actual: Float32Array, expected: readonly Float32Array[], tolerance = 2e-5): void {
  const all = Float32Array.from(expected.flatMap((values) => [...values]))
  const error = actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - all[i]!)), 0)
  assert.ok(actual.length === all.length && error < tolerance, `max error ${error}`)
}

describe('a forward pass', () => {
  for (const name of [
    'llama',
    'mistral',
    'gemma2',
    'bloom',
    'falcon-7b',
    'qwen3',
    'mixtral',
    'gpt-oss-mxfp4',
    'deepseek-v2',
  ]) {
    it(`gives what sessions give, whether sequences are shorter than a chunk or longer: ${name}`, async (context) => {
      const checkpoint = await openCheckpoint(join(FIXTURES, name))
      const engine = await load(context, checkpoint)
      for (const [sequences, tokens] of [
        [5, 7],
        [1, CHUNK],
        [3, 41],
        [2, 1],
      ] as const) {
        const input = states(tokens, [sequences, tokens, checkpoint.config.hiddenSize])
        const expected = await stepped(engine, input)
        const output = await engine.forward(copyOf(input), { start: 0, end: engine.end, timeoutMs: MINUTE })
        assert.deepEqual(output.shape, input.shape)
        assertClose(asFloat32(output), expected)
      }
    })
  }

  it('rounds as a session does where the cache is int8', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const engine = await load(context, checkpoint, 'int8')
    const input = states(3, [3, 40, checkpoint.config.hiddenSize])
    const expected = await stepped(engine, input)
    const output = await engine.forward(copyOf(input), { start: 0, end: engine.end, timeoutMs: MINUTE })
    assertClose(asFloat32(output), expected, 1e-3)
  })
})

describe('forward passes of one engine', () => {
  let checkpoint: Checkpoint
  let engine: Engine
  before(async () => {
    checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    engine = await loadEngine(checkpoint)
  })
  after(() => engine.close())

  it('adds deep prompts to every sequence', async () => {
    const { numBlocks, hiddenSize } = checkpoint.config
    const prompts = states(1, [numBlocks, 20, hiddenSize])
    for (const tokens of [5, 30]) {
      const input = states(2, [3, tokens, hiddenSize])
      const expected = await stepped(engine, input, prompts)
      const output = await engine.forward(copyOf(input), { start: 0, end: numBlocks, prompts, timeoutMs: MINUTE })
      assertClose(asFloat32(output), expected)
    }
  })

  it('needs nothing of the cache, full as it may be', async () => {
    const session = await engine.openSession({ start: 0, end: 3, maxLength: 128, timeoutMs: 0 })
    assert.equal(engine.cacheTokensLeft, 0)
    const input = states(4, [4, 100, checkpoint.config.hiddenSize])
    await engine.forward(input, { start: 0, end: 3, timeoutMs: MINUTE })
    session.release()
  })

  it('is computed several sequences at a time', async () => {
    const reports: RunReport[] = []
    const count = (report: RunReport): number => reports.push(report)
    engine.on('run', count)
    await engine.forward(states(5, [12, 4, checkpoint.config.hiddenSize]), { start: 0, end: 3, timeoutMs: MINUTE })
    engine.off('run', count)
    // Three pieces of four sequences in each of three blocks.
    assert.deepEqual([reports.length, new Set(reports.map(({ kind }) => kind))], [9, new Set(['pass'])])
    assert.ok(Math.abs(reports.reduce((sum, { tokens }) => sum + tokens, 0) - 48) < 1e-9)
  })

  it('ends when its caller goes, or its time is over, and others go on', async () => {
    const width = checkpoint.config.hiddenSize
    const options = { start: 0, end: 3, timeoutMs: MINUTE }
    const gone = new AbortController()
    const long = () => states(6, [200, 100, width])
    const left = engine.forward(long(), { ...options, signal: gone.signal })
    await once(engine, 'run')
    gone.abort(new Error('left'))
    await assert.rejects(left, /left/)
    await assert.rejects(engine.forward(long(), { ...options, timeoutMs: 1 }), { code: 'TIMEOUT' })
    await assert.rejects(engine.forward(long(), { ...options, signal: AbortSignal.abort(new Error('early')) }), /early/)
    const [input] = [states(7, [2, 9, width])]
    const expected = await stepped(engine, input)
    assertClose(asFloat32(await engine.forward(copyOf(input), options)), expected)
  })

  it('is refused with what is wrong and what is right', async () => {
    const width = checkpoint.config.hiddenSize
    const options = { start: 0, end: 3, timeoutMs: MINUTE }
    for (const shape of [
      [2, width],
      [1, 0, width],
      [0, 3, width],
      [1, 3, width + 1],
    ])
      await assert.rejects(engine.forward(states(8, shape), options), { code: 'TENSOR_SHAPE' }, `${shape}`)
    const { maxLength } = checkpoint.config
    await assert.rejects(engine.forward(states(9, [1, maxLength + 1, width]), options), { code: 'SESSION_TOO_LONG' })
    await assert.rejects(engine.forward(states(9, [1, 2, width]), { ...options, end: 4 }), { code: 'SPAN_NOT_HELD' })
    await assert.rejects(engine.forward(states(9, [1, 2, width]), { ...options, adapter: 'x' }), {
      code: 'ADAPTER_UNKNOWN',
    })
  })
})
