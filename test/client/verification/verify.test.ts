import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import type { WireChoice } from '../../../src/client/remote/routes/wire-dtype.ts'
import { type Golden, openGolden } from '../../../src/client/verification/golden.ts'
import { type VerifyRow, compare } from '../../../src/client/verification/rows.ts'
import { type PartitionOptions, uncheckable, verifyPartition } from '../../../src/client/verification/verify.ts'
import type { Quantization } from '../../../src/tensor/quantize.ts'
import { startServers } from '../kit.ts'

/** How far from float32 the servers are. */
interface Arithmetic {
  readonly quant?: Quantization
  readonly wireDType?: WireChoice
}

/** Of a fixture, once for each of `checks`, by the same servers, in this process: the command's are of their own. */
async function verifyAt(
  { folder, config }: Checkpoint,
  golden: Golden,
  cuts: readonly number[],
  { quant = 'none', wireDType = 'auto' }: Arithmetic = {},
  checks: readonly PartitionOptions[] = [{}],
): Promise<VerifyRow[][]> {
  const bounds = [0, ...cuts, config.numBlocks]
  const swarm = await startServers(
    folder,
    bounds.slice(1).map((end, i) => [bounds[i]!, end] as const),
    { quant },
  )
  try {
    const model = await AutoDistributedModelForCausalLM.fromPretrained(folder, {
      bootstrap: swarm.bootstrap,
      threads: 1,
      wireDType,
    })
    try {
      return await Array.fromAsync(checks, (check) => Array.fromAsync(verifyPartition(model, golden, cuts, check)))
    } finally {
      await model.close()
    }
  } finally {
    await swarm.stop()
  }
}

/** References that not every fixture has. */
const OF_SOME = ['greedy_ids', 'greedy_logprobs', 'logits_with_deep_prompts']

/** Its angles depend on length: deep prompts of a whole sequence cannot be compared with those of its pieces. */
const LENGTH_DEPENDENT = 'llama-dynamic'

/**
 * Each shape of a family once at every cut, its variants at one. Angles that are another table only are compared with
 * the reference where blocks are (test/families).
 */
const EVERY_CUT = [[1], [2], [1, 2]]
const FIXTURES: Record<string, number[][]> = {
  'llama3-rope': EVERY_CUT,
  'llama-biases': [[1]],
  'llama-dynamic': [[1]],
  'llama-head20': [[1]],
  'llama-longrope': [[1]],
  'gemma3-scaled': [[1]],
  'phi3-longrope-partial': [[1]],
  'qwen2-window': [[1]],
  'gpt-oss-mxfp4': [[1]],
  'deepseek-v3-float8': [[1]],
}

for (const [name, partitions] of Object.entries(FIXTURES)) {
  test(`${name}: every tensor of the reference, cut at ${partitions.join(' and at ')}`, async () => {
    const folder = join(import.meta.dirname, '..', '..', 'fixtures', name)
    const checkpoint = await openCheckpoint(folder)
    const golden = await openGolden(join(folder, 'golden.safetensors'))
    for (const cuts of partitions) {
      const [rows = []] = await verifyAt(checkpoint, golden, cuts)
      for (const { tensor, ok, maxAbs, reason } of rows)
        assert.ok(ok === null || (ok === true && maxAbs! < 1e-4), `${tensor}: ${maxAbs} ${reason}`)
      const checked = new Set(rows.filter(({ ok }) => ok === true).map(({ tensor }) => tensor))
      const blocks = Array.from({ length: checkpoint.config.numBlocks }, (_, block) => `block${block}_output`)
      const isComparable = (tensor: string): boolean =>
        (partitions === EVERY_CUT || golden.tensors.has(tensor)) &&
        !(name === LENGTH_DEPENDENT && tensor === 'logits_with_deep_prompts')
      const wanted = [...blocks, 'logits', ...OF_SOME.filter(isComparable)]
      for (const tensor of wanted) assert.ok(checked.has(tensor), tensor)
      for (const { ok, tensor } of uncheckable(golden)) assert.ok(ok === null && /grad/.test(tensor), tensor)
    }
  })
}

function wrong(rows: readonly VerifyRow[]): string[] {
  return rows.filter(({ ok }) => ok === false).map(({ tensor }) => tensor)
}

describe('the limit of a dtype', async () => {
  const folder = join(import.meta.dirname, '..', '..', 'fixtures', 'llama')
  const checkpoint = await openCheckpoint(folder)
  const golden = await openGolden(join(folder, 'golden.safetensors'))
  const outputs = ['block0_output', 'block1_output', 'block2_output', 'logits']

  /** What is found of servers that err so far, by the limits of each dtype. */
  const found = (arithmetic: Arithmetic, ...dtypes: PartitionOptions['dtype'][]): Promise<VerifyRow[][]> => {
    const checks = dtypes.map((dtype) => ({ dtype, withoutGradients: 'not looked at' }))
    return verifyAt(checkpoint, golden, [1], arithmetic, checks)
  }
  it("is passed by what its rounding explains, float32's is not, and the client's own has to be", async () => {
    const [asFloat32 = [], asFloat16 = []] = await found({ wireDType: 'float16' }, 'float32', 'float16')
    for (const tensor of outputs) assert.ok(wrong(asFloat32).includes(tensor), tensor)
    assert.deepEqual(wrong(asFloat16), [])
    const limitOf = (name: string) => asFloat16.find(({ tensor }) => tensor === name)
    assert.partialDeepStrictEqual(limitOf('block0_input'), { toleranceFor: 'float32', tolerance: 1e-4 })
    assert.equal(limitOf('greedy_ids')!.toleranceFor, null)
    assert.equal(limitOf('logits')!.toleranceFor, 'float16')
  })

  it('of 16 bits is not passed by servers that err by more than that, here by their weights in int4', async () => {
    for (const rows of await found({ quant: 'int4' }, 'float16', 'bfloat16'))
      for (const tensor of outputs) assert.ok(wrong(rows).includes(tensor), tensor)
  })
})

describe('values', () => {
  const reference = Float32Array.of(3, -4, 0)

  it('may be off by a share of the largest one in 16 bits, and by as much as ever in float32', () => {
    const limits = (['float32', 'float16', 'bfloat16'] as const).map(
      (dtype) => compare('x', reference, reference, dtype).tolerance!,
    )
    assert.ok(Math.abs(limits[0]! - 1e-4 * Math.sqrt(25 / 3)) < 1e-12, `${limits}`)
    assert.deepEqual(limits.slice(1), [0.04, 0.2])
  })

  for (const bad of [NaN, Infinity])
    it(`are wrong with one that is ${bad}, whatever comes behind it`, () => {
      const outcome = compare('x', Float32Array.of(3, bad, 0), reference, 'bfloat16')
      assert.partialDeepStrictEqual(outcome, { ok: false, reason: `value 1 is ${bad}` })
    })
})
