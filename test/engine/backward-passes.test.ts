import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, after, before, describe, it } from 'node:test'
import type { Adapter } from '../../src/checkpoint/adapter/adapter.ts'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { type Golden, openGolden } from '../../src/client/verification/golden.ts'
import type { PassGradients } from '../../src/engine/backward-passes.ts'
import { Engine, type EngineOptions } from '../../src/engine/engine.ts'
import type { RunReport } from '../../src/engine/thread/messages.ts'
import { planTraining } from '../../src/engine/plan/plan-training.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { seededRandom } from '../checkpoint/write.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')
const MINUTE = 60_000
const MIB = 2 ** 20

function loadEngine(checkpoint: Checkpoint, options: Partial<EngineOptions> = {}): Promise<Engine> {
  return Engine.load({
    checkpoint,
    start: 0,
    end: checkpoint.config.numBlocks,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 128,
    trainingBytes: 64 * MIB,
    ...options,
  })
}

async function load(context: TestContext, checkpoint: Checkpoint, options?: Partial<EngineOptions>): Promise<Engine> {
  const engine = await loadEngine(checkpoint, options)
  context.after(() => engine.close())
  return engine
}

function states(seed: number, shape: readonly number[], scale = 1): Tensor {
  const random = seededRandom(seed)
  const length = shape.reduce((product, size) => product * size, 1)
  return fromFloat32(
    Float32Array.from({ length }, () => scale * (2 * random() - 1)),
    shape,
  )
}

/** A pass takes its buffers over. */
function copyOf(source: Tensor): Tensor {
  return { ...source, data: source.data.slice() }
}

/** The largest difference, in parts of the largest value. */
function relativeError(actual: Tensor, expected: Tensor): number {
  const [found, wanted] = [asFloat32(actual), asFloat32(expected)]
  assert.deepEqual(actual.shape, expected.shape)
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return found.reduce((worst, value, i) => Math.max(worst, Math.abs(value - wanted[i]!)), 0) / largest
}

/** All gradients of a pass, by name. */
function named({ hidden, prompts, modules = [] }: PassGradients): Map<string, Tensor> {
  const matrices = modules.flatMap(({ name, a, b }) => [[`${name} A`, a] as const, [`${name} B`, b] as const])
  return new Map([['hidden', hidden], ...(prompts === undefined ? [] : [['prompts', prompts] as const]), ...matrices])
}

function assertAlike(actual: PassGradients, expected: PassGradients, tolerance = 1e-5): void {
  const [found, wanted] = [named(actual), named(expected)]
  assert.deepEqual([...found.keys()], [...wanted.keys()])
  for (const [name, tensor] of found) {
    const error = relativeError(tensor, wanted.get(name)!)
    assert.ok(error < tolerance, `${name}: ${error}`)
  }
}

/** Of the reference: the input of a block, and the gradient of the loss with respect to it. */
function inputOf({ tensors }: Golden, block: number): { readonly hidden: Tensor; readonly gradient: Tensor } {
  const name = block === 0 ? 'block0_input' : `block${block - 1}_output`
  return { hidden: tensors.get(name)!, gradient: tensors.get(`${name}_grad`)! }
}

/** One of each way to attend, to place norms, to route and to store; test/families has the blocks of all fixtures. */
const MODELS = [
  'llama',
  'bloom',
  'falcon-7b',
  'gemma2',
  'gptj',
  'olmo2',
  'cohere2',
  'phi3-longrope-partial',
  'mixtral',
  'deepseek-v3-float8',
  'gpt-oss-mxfp4',
]

describe("a backward pass gives the reference's gradients, wherever the model is cut", () => {
  for (const name of MODELS) {
    it(name, async (context) => {
      const checkpoint = await openCheckpoint(join(FIXTURES, name))
      const golden = await openGolden(join(FIXTURES, name, 'golden.safetensors'))
      const engine = await load(context, checkpoint)
      for (let end = 1; end <= engine.end; end++) {
        const gradient = golden.tensors.get(`block${end - 1}_output_grad`)!
        for (let start = 0; start < end; start++) {
          const { hidden, gradient: expected } = inputOf(golden, start)
          const options = { start, end, timeoutMs: MINUTE }
          const found = await engine.backward(copyOf(hidden), copyOf(gradient), options)
          const error = relativeError(found.hidden, expected)
          assert.ok(error < 1e-5, `blocks ${start}:${end}: ${error}`)
        }
      }
    })
  }
})

const SPAN = { start: 0, end: 3, timeoutMs: MINUTE }
const TARGET = { device: 'cpu', dtype: 'float32' } as const
const [SEQUENCES, TOKENS] = [6, 7]

/** x, moved so far in a direction. */
function sum(x: Tensor, direction: Tensor, by: number): Tensor {
  return fromFloat32(
    asFloat32(x).map((value, i) => value + by * asFloat32(direction)[i]!),
    x.shape,
  )
}

/** One low-rank change in each block, of different ranks; a direction in which it may move. */
function adapterOf(name: string, { hiddenSize }: Checkpoint['config'], moved: number): Adapter {
  const modules = ['0.self_attn.q_proj', '1.self_attn.o_proj', '2.self_attn.q_proj'].map((layer, i) => {
    const rank = i + 1
    const [a, b] = (
      [
        [100 + i, [rank, hiddenSize]],
        [200 + i, [hiddenSize, rank]],
      ] as const
    ).map(([seed, shape]) => sum(states(seed, shape, 0.2), states(seed + 50, shape), moved)) as [Tensor, Tensor]
    return { name: `model.layers.${layer}`, scaling: 1.5, a, b }
  })
  return { name, modules }
}

function assertSlope(name: string, found: number, slope: number): void {
  assert.ok(Math.abs(found - slope) < 0.01 * Math.abs(slope), `${name}: ${found}, the slope is ${slope}`)
}

function dot(x: Tensor, y: Tensor): number {
  const other = asFloat32(y)
  return asFloat32(x).reduce((sum, value, i) => sum + value * other[i]!, 0)
}

describe('backward passes of one model', () => {
  let checkpoint: Checkpoint
  let engine: Engine
  let whole: PassGradients
  let hidden: Tensor, gradient: Tensor, prompts: Tensor
  /** Adapters at a point, and a little to each side of it. */
  const ADAPTERS = { here: 0, behind: -0.01, ahead: 0.01 }
  const given = () => [copyOf(hidden), copyOf(gradient)] as const

  before(async () => {
    checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const { config } = checkpoint
    hidden = states(1, [SEQUENCES, TOKENS, config.hiddenSize])
    gradient = states(2, hidden.shape)
    prompts = states(3, [3, TOKENS - 2, config.hiddenSize])
    engine = await loadEngine(checkpoint, { adapterBytes: MIB, prefillChunkTokens: SEQUENCES * TOKENS })
    for (const [name, moved] of Object.entries(ADAPTERS)) engine.adapters.add(adapterOf(name, config, moved))
    whole = await engine.backward(...given(), { ...SPAN, prompts, adapter: 'here', adapterGradients: true })
  })
  after(() => engine.close())

  /** How much a loss changes when what goes in is moved a little, in parts of the move. */
  async function slope(ahead: Tensor, behind: Tensor, moved: number): Promise<number> {
    return (dot(ahead, gradient) - dot(behind, gradient)) / (2 * moved)
  }

  const forward = (input: Tensor, added: Tensor, adapter = 'here') =>
    engine.forward(copyOf(input), { ...SPAN, prompts: added, adapter })

  it('are the slope of the forward pass, with respect to hidden states, prompts and matrices', async () => {
    const moved = 0.01
    const way = states(4, hidden.shape)
    const ofHidden = [sum(hidden, way, moved), sum(hidden, way, -moved)].map((input) => forward(input, prompts))
    assertSlope('hidden', dot(whole.hidden, way), await slope((await ofHidden[0])!, (await ofHidden[1])!, moved))

    const turn = states(5, prompts.shape)
    const ofPrompts = [sum(prompts, turn, moved), sum(prompts, turn, -moved)].map((added) => forward(hidden, added))
    assertSlope('prompts', dot(whole.prompts!, turn), await slope((await ofPrompts[0])!, (await ofPrompts[1])!, moved))

    const [ahead, behind] = [await forward(hidden, prompts, 'ahead'), await forward(hidden, prompts, 'behind')]
    const along = whole.modules!.reduce((total, { name, a, b }, i) => {
      assert.equal(name, `model.layers.${['0.self_attn.q_proj', '1.self_attn.o_proj', '2.self_attn.q_proj'][i]}`)
      return total + dot(a, states(150 + i, a.shape)) + dot(b, states(250 + i, b.shape))
    }, 0)
    assertSlope('matrices', along, await slope(ahead, behind, moved))
  })

  it('are the same however the pass is cut into groups, pieces and chunks', async (context) => {
    const { config } = checkpoint
    const divisions = new Set<string>()
    for (const [bytes, pieceTokens] of [
      [64 * MIB, TOKENS],
      [210_000, TOKENS],
      [240_000, 2 * TOKENS],
      [370_000, 2 * TOKENS],
    ] as const) {
      const plan = planTraining(config, TARGET, { start: 0, end: 3, bytes, pieceTokens })
      const size = { blocks: 3, sequences: SEQUENCES, tokens: TOKENS, ranks: 3 }
      const { groupRows, pieceRows, chunkBlocks } = plan.sizes.divide(size, plan.activationBytes)!
      divisions.add(`${groupRows} ${pieceRows} ${chunkBlocks}`)
      const other = await load(context, checkpoint, {
        adapterBytes: MIB,
        trainingBytes: bytes,
        prefillChunkTokens: pieceTokens,
      })
      other.adapters.add(adapterOf('here', config, 0))
      const found = await other.backward(...given(), { ...SPAN, prompts, adapter: 'here', adapterGradients: true })
      assertAlike(found, whole)
    }
    // Sequences of a group and of a piece, blocks of a chunk.
    assert.deepEqual([...divisions], ['6 1 3', '3 1 1', '3 2 1', '6 2 2'])
  })

  it('give what is asked for: no prompts, no matrices, part of the span, prompts beyond the sequences', async () => {
    const plain = await engine.backward(...given(), SPAN)
    assert.deepEqual([...named(plain).keys()], ['hidden'])
    const adapted = await engine.backward(...given(), { ...SPAN, adapter: 'here', prompts })
    assertAlike(adapted, { hidden: whole.hidden, prompts: whole.prompts })
    const part = { ...SPAN, start: 1, end: 2, adapter: 'here', adapterGradients: true }
    const { modules } = await engine.backward(...given(), part)
    assert.deepEqual(
      modules!.map(({ name, a, b }) => [name, a.shape, b.shape]),
      [['model.layers.1.self_attn.o_proj', [2, 64], [64, 2]]],
    )
    const long = fromFloat32(new Float32Array(3 * (TOKENS + 2) * 64), [3, TOKENS + 2, 64])
    const { prompts: found } = await engine.backward(...given(), { ...SPAN, prompts: long })
    assert.deepEqual(found!.shape, long.shape)
    const rows = Array.from({ length: 3 * (TOKENS + 2) }, (_, i) => asFloat32(found!).subarray(i * 64, (i + 1) * 64))
    assert.deepEqual(
      rows.map((row) => row.some((value) => value !== 0)),
      rows.map((_, i) => i % (TOKENS + 2) < TOKENS),
    )
  })

  it('let steps of sessions come in between', async () => {
    const session = await engine.openSession({ start: 0, end: 3, maxLength: 16, timeoutMs: 0 })
    const state = { isDone: false }
    const shape = [64, 64, 64]
    const pass = engine.backward(states(6, shape), states(7, shape), SPAN).then(() => (state.isDone = true))
    const [report] = (await once(engine, 'run')) as [RunReport]
    assert.equal(report.kind, 'pass')
    for (let i = 0; i < 8; i++) await session.step(states(8, [1, 64]))
    assert.equal(state.isDone, false)
    session.release()
    await pass
  })

  it('have their turns: a small one of another client comes between the groups of a large one', async () => {
    const order: string[] = []
    const run = (client: string, sequences: number) => {
      const shape = [sequences, 64, 64]
      return engine.backward(states(9, shape), states(10, shape), { ...SPAN, client }).then(() => order.push(client))
    }
    await Promise.all([run('large', 130), run('small', 1)])
    assert.deepEqual(order, ['small', 'large'])
  })

  it('end when the caller goes or the time is over, and leave room for the next', async () => {
    const shape = [64, 64, 64]
    const long = () => [states(11, shape), states(12, shape)] as const
    const gone = new AbortController()
    const left = engine.backward(...long(), { ...SPAN, signal: gone.signal })
    const waiting = engine.backward(...long(), { ...SPAN, signal: gone.signal })
    await once(engine, 'run')
    gone.abort(new Error('left'))
    await assert.rejects(left, /left/)
    await assert.rejects(waiting, /left/)
    await assert.rejects(engine.backward(...long(), { ...SPAN, timeoutMs: 1 }), { code: 'TIMEOUT' })
    const early = AbortSignal.abort(new Error('early'))
    await assert.rejects(engine.backward(...long(), { ...SPAN, signal: early }), /early/)
    assertAlike(await engine.backward(...given(), { ...SPAN, prompts, adapter: 'here', adapterGradients: true }), whole)
  })

  it('are refused with what is wrong and what is right', async () => {
    const [width, refused] = [64, { code: 'TENSOR_SHAPE' }]
    const backward = (input: readonly number[], output: readonly number[], options = {}) =>
      engine.backward(states(13, input), states(14, output), { ...SPAN, ...options })
    for (const shape of [
      [2, width],
      [1, 0, width],
      [1, 3, width + 1],
    ])
      await assert.rejects(backward(shape, shape), refused)
    await assert.rejects(backward([2, 3, width], [2, 4, width]), {
      ...refused,
      message: /\[2,4,64\]: expected .*\[2,3,64\]/,
    })
    await assert.rejects(backward([2, 3, width], [3, 2, width]), refused)
    await assert.rejects(backward([1, 2, width], [1, 2, width], { prompts: states(1, [2, 1, width]) }), refused)
    await assert.rejects(backward([1, 2, width], [1, 2, width], { end: 4 }), { code: 'SPAN_NOT_HELD' })
    await assert.rejects(backward([1, 2, width], [1, 2, width], { adapter: 'x' }), { code: 'ADAPTER_UNKNOWN' })
    const tooLong = [1, checkpoint.config.maxLength + 1, width]
    await assert.rejects(backward(tooLong, tooLong), { code: 'SESSION_TOO_LONG' })
    const huge = engine.backward(states(15, [1, 2, width]), states(16, [1, 2, width], 3e38), SPAN)
    await assert.rejects(huge, { code: 'TENSOR_NONFINITE', message: /overflow/ })
  })
})

describe('an engine with little memory for training', () => {
  it('says how long a sequence may be, and computes such a one', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    const engine = await load(context, checkpoint, { trainingBytes: 1_100_000 })
    const { backwardTokens } = engine
    assert.ok(backwardTokens > 0 && backwardTokens < checkpoint.config.maxLength, String(backwardTokens))
    const run = (tokens: number) => engine.backward(states(1, [2, tokens, 64]), states(2, [2, tokens, 64]), SPAN)
    assert.deepEqual((await run(backwardTokens)).hidden.shape, [2, backwardTokens, 64])
    await assert.rejects(run(backwardTokens + 1), {
      code: 'TRAINING_MEMORY',
      message: new RegExp(`of ${backwardTokens + 1} tokens.* may have ${backwardTokens};`),
    })
  })

  it('computes none where there is none, and says so', async (context) => {
    const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
    for (const trainingBytes of [0, 1000]) {
      const engine = await load(context, checkpoint, { trainingBytes })
      assert.equal(engine.backwardTokens, 0)
      await assert.rejects(engine.backward(states(1, [1, 2, 64]), states(2, [1, 2, 64]), SPAN), {
        code: 'TRAINING_OFF',
        message: /--training-memory/,
      })
    }
  })

  it('may be closed while a pass is under way', async () => {
    const engine = await loadEngine(await openCheckpoint(join(FIXTURES, 'llama')))
    const shape = [64, 64, 64]
    const passes = [1, 2].map(() => engine.backward(states(1, shape), states(2, shape), SPAN))
    const refused = passes.map((pass) => assert.rejects(pass, { code: 'ENGINE_CLOSED' }))
    await once(engine, 'run')
    await engine.close()
    await Promise.all(refused)
  })
})
