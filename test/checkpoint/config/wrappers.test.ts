import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type ModelConfig, parseConfig } from '../../../src/checkpoint/config/config.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { parseGeneration } from '../../../src/checkpoint/config/generation.ts'
import { modelKey } from '../../../src/checkpoint/model-key.ts'
import { readTensors } from '../../families/support.ts'
import { temporaryFolder, writeSafetensors } from '../write.ts'
import { writeFile } from 'node:fs/promises'

const FIXTURES = join(import.meta.dirname, '../../fixtures-checkpoints')

function configOf(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(FIXTURES, name, 'config.json'), 'utf8')) as Record<string, unknown>
}

function parse(json: object): ModelConfig {
  return parseConfig(json, 'config.json')
}

describe('the config of a multimodal model', () => {
  it('is its text model’s, with what transformers fills in for sizes', () => {
    // As the hub's gemma-3-4b-it has it.
    const gemma = parse({
      model_type: 'gemma3',
      eos_token_id: [1, 106],
      text_config: {
        hidden_size: 2560,
        intermediate_size: 10_240,
        model_type: 'gemma3_text',
        num_hidden_layers: 34,
        rope_scaling: { factor: 8.0, rope_type: 'linear' },
        sliding_window: 1024,
      },
      torch_dtype: 'bfloat16',
      vision_config: { hidden_size: 1152 },
    })
    const { modelType, wrapper, numHeads, numKvHeads, headDim, vocabSize, tiedEmbeddings, dtype } = gemma
    assert.deepEqual(
      { modelType, wrapper, numHeads, numKvHeads, headDim, vocabSize, tiedEmbeddings, dtype },
      {
        modelType: 'gemma3_text',
        wrapper: 'gemma3',
        numHeads: 8,
        numKvHeads: 4,
        headDim: 256,
        vocabSize: 262_208,
        tiedEmbeddings: true,
        dtype: 'bfloat16',
      },
    )
    assert.deepEqual(parseGeneration(undefined, 'g', gemma, 'c').eosTokenIds, [1, 106])
    // As llava-1.5-7b-hf has it.
    const llava = parse({ model_type: 'llava', text_config: { model_type: 'llama', vocab_size: 32_064 } })
    assert.deepEqual([llava.hiddenSize, llava.numBlocks, llava.vocabSize], [4096, 32, 32_064])
    assert.equal(parse({ model_type: 'llava', text_config: {} }).modelType, 'llama')
  })

  it('may have the text model’s fields in itself, where transformers 4 wrote them so', () => {
    const nested = configOf('qwen2-vl')
    const { model_type: _, rope_parameters: __, ...text } = nested['text_config'] as Record<string, unknown>
    const rope = { rope_theta: 1e6, rope_scaling: { type: 'mrope', mrope_section: [2, 1, 1] } }
    const flat = { ...text, ...rope, model_type: 'qwen2_vl', tie_word_embeddings: false, vision_config: {} }
    const { raw: ___, ...expected } = parse(nested)
    const { raw: ____, ...found } = parse(flat)
    assert.deepEqual({ ...found, dtype: 'float32' }, expected)
  })

  it('is decided by its outer fields, and tied where either part says so', () => {
    const text = { model_type: 'llama', dtype: 'float32', tie_word_embeddings: true }
    const both = parse({ model_type: 'llava', torch_dtype: 'bfloat16', tie_word_embeddings: false, text_config: text })
    assert.deepEqual([both.dtype, both.tiedEmbeddings], ['bfloat16', true])
    const outer = { model_type: 'mistral3', tie_word_embeddings: false, text_config: { model_type: 'mistral' } }
    assert.equal(parse(outer).tiedEmbeddings, false)
    assert.equal(parse({ ...outer, tie_word_embeddings: undefined }).tiedEmbeddings, true)
  })

  it('is refused by the name and the place of what is wrong in it', () => {
    const wrong: [object, RegExp][] = [
      [{ model_type: 'gemma3' }, /text_config must be an object in a config of gemma3; it is missing/],
      [{ model_type: 'gemma3', text_config: [1] }, /text_config must be an object .*; it is \[1\]/],
      [{ model_type: 'gemma3', text_config: 'a' }, /text_config must be an object/],
      [{ model_type: 'llava', text_config: { model_type: 3 } }, /text_config: model_type must be a text; it is 3/],
      [{ model_type: 'llava', text_config: { model_type: 'gptx' } }, /model_type must be one of .*it is "gptx"/],
      [{ model_type: 'llava', text_config: { model_type: 'llava' } }, /model_type must be one of/],
      [{ model_type: 'llava', text_config: { hidden_size: -1 } }, /text_config: hidden_size must be an integer/],
      [{ model_type: 'llava', text_config: { hidden_size: 1e99 } }, /text_config: hidden_size must be an integer/],
      [{ model_type: '__proto__', text_config: {} }, /model_type must be one of/],
      [
        { model_type: 'llava', tie_word_embeddings: 'no', text_config: {} },
        /tie_word_embeddings must be true or false/,
      ],
      [{ model_type: 'qwen2_vl', rope_scaling: 3 }, /rope_scaling must be an object/],
    ]
    for (const [json, message] of wrong) assert.throws(() => parse(json), { code: 'CHECKPOINT_CONFIG', message })
  })
})

describe('the tensors of a multimodal model', () => {
  it('are its text model’s under any prefix, and its key is that of the text model alone', async (context) => {
    const folder = join(FIXTURES, 'llava')
    const checkpoint = await openCheckpoint(folder)
    assert.match(checkpoint.notes.join(), /llava .* text part/)
    assert.ok(![...checkpoint.tensors.keys()].some((name) => /vision|projector/.test(name)))
    const key = await modelKey(checkpoint)
    const stored = await readTensors(join(folder, 'model.safetensors'))
    const forms: ((name: string) => string)[] = [
      (name) => name.replace(/^language_model\.model\./, 'model.language_model.').replace('language_model.lm_', 'lm_'),
      (name) => name.replace(/^language_model\.model\./, 'language_model.').replace('language_model.lm_', 'lm_'),
      (name) => name.replace(/^language_model\.model\./, 'model.text_model.').replace('language_model.lm_', 'lm_'),
      (name) => name.replace(/^language_model\./, ''),
    ]
    for (const form of forms) {
      const other = await temporaryFolder(context)
      await writeFile(join(other, 'config.json'), JSON.stringify(configOf('llava')))
      const renamed = [...stored].map(([name, tensor]) => [form(name), tensor] as const)
      await writeSafetensors(join(other, 'model.safetensors'), Object.fromEntries(renamed))
      assert.equal(await modelKey(await openCheckpoint(other)), key)
    }
    const alone = await temporaryFolder(context)
    await writeFile(join(alone, 'config.json'), JSON.stringify(configOf('llava')['text_config']))
    const own = [...stored]
      .filter(([name]) => name.startsWith('language_model'))
      .map(([name, tensor]) => [name.replace(/^language_model\./, ''), tensor] as const)
    await writeSafetensors(join(alone, 'model.safetensors'), Object.fromEntries(own))
    assert.equal(await modelKey(await openCheckpoint(alone)), key)
  })
})
