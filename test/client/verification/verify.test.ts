import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { type Golden, openGolden } from '../../../src/client/verification/golden.ts'
import type { VerifyRow } from '../../../src/client/verification/rows.ts'
import { uncheckable, verifyPartition } from '../../../src/client/verification/verify.ts'
import { startServers } from '../kit.ts'

/** Of a fixture, by its servers in this process: the command's are processes of their own. */
async function verifyAt({ folder, config }: Checkpoint, golden: Golden, cuts: readonly number[]): Promise<VerifyRow[]> {
  const bounds = [0, ...cuts, config.numBlocks]
  const swarm = await startServers(
    folder,
    bounds.slice(1).map((end, i) => [bounds[i]!, end] as const),
  )
  try {
    const model = await AutoDistributedModelForCausalLM.fromPretrained(folder, {
      bootstrap: swarm.bootstrap,
      threads: 1,
    })
    try {
      return await Array.fromAsync(verifyPartition(model, golden, cuts))
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

/** Each shape of a family once at every cut, its variants at one. */
const EVERY_CUT = [[1], [2], [1, 2]]
const FIXTURES: Record<string, number[][]> = {
  'llama3-rope': EVERY_CUT,
  'llama-biases': [[1]],
  'llama-dynamic': [[1]],
  'llama-head20': [[1]],
  'llama-linear': [[1]],
  'llama-longrope': [[1]],
  'llama-yarn': [[1]],
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
      const rows = await verifyAt(checkpoint, golden, cuts)
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
