import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Adapter, openAdapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { counting, temporaryFolder, writeSafetensors } from '../write.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures-adapters/llama-patterns')

async function withConfig(context: TestContext, changes: object): Promise<Adapter> {
  const folder = await temporaryFolder(context)
  await cp(FIXTURE, folder, { recursive: true })
  const file = join(folder, 'adapter_config.json')
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...changes }))
  return openAdapter(folder)
}

async function withTensors(context: TestContext, tensors: Record<string, readonly number[]>): Promise<Adapter> {
  const folder = await temporaryFolder(context)
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', r: 2, lora_alpha: 4 }))
  await writeSafetensors(
    join(folder, 'adapter_model.safetensors'),
    Object.fromEntries(Object.entries(tensors).map(([name, shape]) => [name, counting(shape)])),
  )
  return openAdapter(folder)
}

describe('openAdapter', () => {
  it('scales each module by its own alpha and rank, stabilised where told', async () => {
    const { name, modules } = await openAdapter(FIXTURE)
    assert.equal(name, 'llama-patterns')
    const scaling = (module: string) => modules.find((each) => each.name.endsWith(module))!.scaling
    assert.equal(scaling('layers.1.self_attn.q_proj'), 6 / Math.sqrt(2))
    assert.equal(scaling('layers.0.self_attn.q_proj'), 10 / Math.sqrt(2))
    assert.equal(scaling('layers.0.self_attn.v_proj'), 6 / Math.sqrt(3))
    assert.equal(scaling('layers.1.mlp.down_proj'), 6 / 2)
  })

  it('reads names with and without what PEFT puts around them', async (context) => {
    const { modules } = await withTensors(context, {
      'base_model.model.h.0.dense.lora_A.default.weight': [2, 4],
      'h.0.dense.lora_B.weight': [8, 2],
    })
    assert.deepEqual(
      modules.map(({ name, scaling }) => [name, scaling]),
      [['h.0.dense', 2]],
    )
  })

  const refusals: [string, object, RegExp][] = [
    ['other kinds', { peft_type: 'IA3' }, /peft_type "IA3".*only LORA/],
    ['DoRA', { use_dora: true }, /use_dora true/],
    ['biases', { bias: 'all' }, /bias "all"/],
    ['whole modules', { modules_to_save: ['lm_head'] }, /modules_to_save \["lm_head"\]/],
    ['PiSSA', { init_lora_weights: 'pissa' }, /init_lora_weights "pissa".*changed the weights.*path_initial_model/],
    ['quick PiSSA', { init_lora_weights: 'pissa_niter_4' }, /init_lora_weights "pissa_niter_4"/],
    ['OLoRA', { init_lora_weights: 'OLoRA' }, /init_lora_weights "OLoRA"/],
    ['CorDA', { init_lora_weights: 'corda' }, /init_lora_weights "corda"/],
    ['LoftQ', { init_lora_weights: 'loftq' }, /init_lora_weights "loftq"/],
    ['LoRA-GA', { init_lora_weights: 'lora_ga' }, /init_lora_weights "lora_ga"/],
    ['beginnings that nobody knows', { init_lora_weights: 'x' }, /init_lora_weights "x"/],
    ['KaSA', { kasa_config: { beta: 1 } }, /kasa_config/],
    ['experts of Arrow', { arrow_config: { top_k: 3 } }, /arrow_config/],
    ['parameters', { target_parameters: ['experts.w'] }, /target_parameters \["experts.w"\]/],
    ['copied layers', { layer_replication: [[0, 2]] }, /layer_replication/],
    ['token indices', { trainable_token_indices: { embed_tokens: [1] } }, /trainable_token_indices/],
    ['biases of its own', { lora_bias: true }, /lora_bias true/],
    ['Megatron', { megatron_config: { a: 1 } }, /megatron_config/],
    ['modules that the config leaves out', { exclude_modules: ['v_proj'] }, /module .*v_proj: it has matrices/],
    ['layers that the config leaves out', { layers_to_transform: [0] }, /module .*layers\.1.*: it has matrices/],
    ['expressions of Python alone', { target_modules: '(?P<a>.*)_proj(?i)' }, /target_modules .*no regular expression/],
    ['patterns that are no numbers', { rank_pattern: { q_proj: 'x' } }, /rank_pattern/],
    ['patterns that are no expressions', { alpha_pattern: { '(': 1 } }, /alpha_pattern "\("/],
    ['ranks other than those stored', { rank_pattern: {} }, /rank 2 for .*lora_A has rank [34]/],
  ]
  for (const [what, changes, message] of refusals) {
    it(`refuses ${what}`, (context) =>
      assert.rejects(withConfig(context, changes), { code: 'ADAPTER_UNSUPPORTED', message }))
  }

  it('takes beginnings that leave the weights of the model as they are', async (context) => {
    for (const init of [true, false, null, 'gaussian', 'eva', 'orthogonal', 'mica'])
      assert.ok((await withConfig(context, { init_lora_weights: init, loftq_config: {} })).modules.length > 0)
  })

  it('refuses what is no pair of matrices', async (context) => {
    await assert.rejects(withTensors(context, { 'a.lora_A.weight': [2, 4] }), {
      code: 'ADAPTER_UNSUPPORTED',
      message: /module a.*only one/,
    })
    await assert.rejects(withTensors(context, { 'a.lora_embedding_A': [2, 4] }), {
      code: 'ADAPTER_UNSUPPORTED',
      message: /a\.lora_embedding_A/,
    })
    await assert.rejects(withTensors(context, {}), { code: 'ADAPTER_UNSUPPORTED', message: /no matrices/ })
    await assert.rejects(
      withTensors(context, { 'a.lora_A.weight': [2, 4], 'base_model.model.a.lora_A.weight': [2, 4] }),
      { code: 'ADAPTER_UNSUPPORTED', message: /two matrices for a/ },
    )
  })

  it('names a file that is missing', (context) =>
    temporaryFolder(context).then((folder) =>
      assert.rejects(openAdapter(folder), { code: 'CHECKPOINT_MISSING_FILE', message: /adapter_config\.json/ }),
    ))
})
