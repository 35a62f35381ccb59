import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { type ModelConfig, parseConfig } from '../../../src/checkpoint/config/config.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { blockBytes, planEnds, planSpan, tokenBytes } from '../../../src/engine/plan/plan.ts'
import { defaultRunLimits } from '../../../src/engine/plan/run-limits.ts'
import { CPU } from '../../../src/runtime/device.ts'

/** Meta-Llama-3-8B. */
const LLAMA_8B = parseConfig(
  {
    model_type: 'llama',
    hidden_size: 4096,
    intermediate_size: 14336,
    vocab_size: 128_256,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 8192,
    rope_theta: 500_000,
    torch_dtype: 'bfloat16',
  },
  'config.json',
)

const GB = 1e9
const cpu = { device: 'cpu', dtype: 'float32' } as const
const cuda = { device: 'cuda', dtype: 'bfloat16' } as const

describe('the plan of a span of Llama 3 8B', () => {
  test('knows a block, a token of its cache and the ends in the bytes that the runtime holds', () => {
    assert.equal(blockBytes(LLAMA_8B, cuda), 436_224_000)
    assert.equal(blockBytes(LLAMA_8B, cpu), 872_448_000)
    assert.equal(tokenBytes(LLAMA_8B, cuda), 4096)
    assert.equal(tokenBytes(LLAMA_8B, cpu), 8192)
    // Four bytes a channel for each row of at least 128 tokens.
    assert.equal(tokenBytes(LLAMA_8B, { ...cpu, kvDType: 'int8' }), 2048 + 64)
    assert.deepEqual(planEnds(LLAMA_8B), {
      embeddingBytes: 128_256 * 4096 * 4,
      headBytes: (128_256 + 1) * 4096 * 4,
      totalBytes: (2 * 128_256 + 1) * 4096 * 4,
    })
  })

  test('takes as many blocks as fit with their cache, the workspace and the reserve, and not one more', () => {
    for (const memoryBytes of [4 * GB, 10 * GB, 24 * GB, 30 * GB]) {
      const plan = planSpan(LLAMA_8B, { ...cpu, memoryBytes })
      assert.ok(plan.fits && plan.numBlocks > 0 && plan.numBlocks < 32, JSON.stringify(plan))
      const { weightBytes, workspaceBytes, trainingBytes, reserveBytes } = plan
      assert.equal(plan.totalBytes, weightBytes + plan.cacheBytes + workspaceBytes + trainingBytes + reserveBytes)
      assert.equal(
        planSpan(LLAMA_8B, { ...cpu, memoryBytes, numBlocks: plan.numBlocks + 1, cacheTokens: 8192 }).fits,
        false,
      )
    }
  })

  test('stops at the whole model, and then the cache takes at most a quarter of the memory', () => {
    const plan = planSpan(LLAMA_8B, { ...cuda, memoryBytes: 40 * GB })
    assert.equal(plan.numBlocks, 32)
    assert.ok(plan.cacheBytes <= 10 * GB && plan.cacheBytes > 9.9 * GB, `${plan.cacheBytes}`)
  })

  test('a larger cache that is asked for leaves room for fewer blocks', () => {
    const few = planSpan(LLAMA_8B, { ...cpu, memoryBytes: 20 * GB, cacheTokens: 65_536 })
    assert.equal(few.cacheTokens, 65_536)
    assert.ok(few.fits && few.numBlocks < planSpan(LLAMA_8B, { ...cpu, memoryBytes: 20 * GB }).numBlocks)
  })

  test('as many blocks as were asked for are planned even where they do not fit', () => {
    const { numBlocks, fits, weightBytes, cacheTokens } = planSpan(LLAMA_8B, {
      ...cpu,
      memoryBytes: 5 * GB,
      numBlocks: 8,
    })
    assert.deepEqual(
      { numBlocks, fits, weightBytes, cacheTokens },
      { numBlocks: 8, fits: false, weightBytes: 8 * 872_448_000, cacheTokens: 1024 },
    )
  })

  test('no room for one block is a plan of none', () => {
    const { numBlocks, cacheBytes, fits } = planSpan(LLAMA_8B, { ...cpu, memoryBytes: 1 * GB })
    assert.deepEqual({ numBlocks, cacheBytes, fits }, { numBlocks: 0, cacheBytes: 0, fits: false })
  })

  test('its workspace is a few matrices of the chunk, not of the context', () => {
    const { workspaceBytes } = planSpan(LLAMA_8B, { ...cpu, memoryBytes: 20 * GB })
    const gateBytes = 256 * 14336 * 4
    assert.ok(workspaceBytes > 2 * gateBytes && workspaceBytes < 6 * gateBytes, `${workspaceBytes}`)
    const half = planSpan(LLAMA_8B, { ...cpu, memoryBytes: 20 * GB, prefillChunkTokens: 128 })
    assert.equal(half.workspaceBytes * 2, workspaceBytes)
  })
})

describe('the plan of a span on CUDA', () => {
  test('is of larger chunks, but where attention is written out', () => {
    const limits = ([cpu, cuda, { device: 'cuda', dtype: 'float32' }] as const).map(defaultRunLimits)
    assert.deepEqual(
      limits.map(({ prefillChunkTokens }) => prefillChunkTokens),
      [256, 1024, 256],
    )
    const of = (prefillChunkTokens?: number) =>
      planSpan(LLAMA_8B, { ...cuda, memoryBytes: 80 * GB, prefillChunkTokens }).workspaceBytes
    assert.ok(of() === of(1024) && of() > of(256))
  })

  test('counts sessions, and for each block what is recorded of it, where steps are recorded', () => {
    const plans = (['bfloat16', 'float32'] as const).map((dtype) =>
      [8, 16].map((numBlocks) => planSpan(LLAMA_8B, { device: 'cuda', dtype, memoryBytes: 80 * GB, numBlocks })),
    )
    const [recorded, plain] = plans.map(([few, many]) => (many!.workspaceBytes - few!.workspaceBytes) / 8)
    assert.equal(plain, 64 * 4096 * 4, 'deep prompts')
    assert.ok(recorded! > 4 * 2 ** 20 && recorded! < 16 * 2 ** 20, `${recorded}`)
    assert.ok(plans[0]![0]!.workspaceBytes > 6 * 75 * 2 ** 20)
    const adapterBytes = 2 ** 30
    const without = planSpan(LLAMA_8B, { ...cuda, memoryBytes: 80 * GB }),
      adapted = planSpan(LLAMA_8B, { ...cuda, memoryBytes: 80 * GB, adapterBytes })
    assert.equal(adapted.reserveBytes - without.reserveBytes, adapterBytes + 75 * 2 ** 20, 'and a session')
  })
})

describe('the plan of a span beside the span itself', () => {
  let config: ModelConfig
  let engine: Engine
  before(async () => {
    const checkpoint = await openCheckpoint(new URL('../../fixtures/llama', import.meta.url).pathname)
    config = checkpoint.config
    engine = await Engine.load({
      checkpoint,
      start: 0,
      end: 3,
      device: CPU,
      dtype: 'float32',
      threads: 1,
      spin: false,
      cacheTokens: 3000,
    })
    await engine.close()
  })

  test('the cache that was allocated is the planned one, rounded up to whole rows', () => {
    const plan = planSpan(config, { ...cpu, memoryBytes: 2 * GB, numBlocks: 3, cacheTokens: 3000 })
    assert.ok(
      engine.cacheBytes >= plan.cacheBytes && engine.cacheBytes <= plan.cacheBytes * 1.03,
      `${engine.cacheBytes}, ${plan.cacheBytes}`,
    )
  })

  test('the bytes per block are those of its stored tensors, in the dtype that is held', async () => {
    const { tensors } = await openCheckpoint(new URL('../../fixtures/llama', import.meta.url).pathname)
    const stored = [...tensors.values()]
      .filter(({ name }) => name.includes('layers.0.'))
      .reduce((bytes, { byteLength }) => bytes + byteLength, 0)
    assert.equal(blockBytes(config, cpu), stored)
  })
})
