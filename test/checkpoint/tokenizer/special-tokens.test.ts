import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { loadCodec } from '../../../src/checkpoint/tokenizer/codec.ts'
import { namedTokens } from '../../../src/checkpoint/tokenizer/special-tokens.ts'
import { temporaryFolder } from '../write.ts'

/** A tokenizer's files, and what transformers makes of them. */
interface Case {
  readonly files: Readonly<Record<string, Record<string, unknown>>>
  /** Ids by text. */
  readonly texts: Readonly<Record<string, number[]>>
  /** By id: its text between two of id 0, with special tokens and without. */
  readonly decoded: Readonly<Record<string, [string, string]>>
  readonly named: Readonly<Record<string, string>>
}

const CASES = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/tokens.json'), 'utf8')) as Case[]

async function folderOf(context: TestContext, files: Case['files']): Promise<string> {
  const folder = await temporaryFolder(context)
  for (const [name, values] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(values))
  return folder
}

describe('tokens that several files name', () => {
  it('have the ids, flags and names that transformers gives them', async (context) => {
    for (const [i, { files, texts, decoded, named }] of CASES.entries()) {
      const folder = await folderOf(context, files)
      const codec = loadCodec(folder)
      const [found, shown] = [
        Object.keys(texts).map((text) => [text, codec.encode(text, true)]),
        Object.keys(decoded).map((id) => [
          id,
          [false, true].map((skipped) => codec.decode([0, Number(id), 0], skipped)),
        ]),
      ]
      assert.deepEqual(Object.fromEntries(found), texts, `case ${i}`)
      assert.deepEqual(Object.fromEntries(shown), decoded, `case ${i}`)
      assert.deepEqual(namedTokens(folder), named, `case ${i}`)
    }
  })

  it('are refused by file and value where they are of another kind', async (context) => {
    const { files } = CASES[0]!
    const config = (values: object) => ({ ...files, 'tokenizer_config.json': { ...values } })
    const model = (values: object) => ({ ...files, 'tokenizer.json': { ...files['tokenizer.json'], ...values } })
    const wrong: [Case['files'], RegExp][] = [
      [config({ bos_token: 3 }), /tokenizer_config\.json: bos_token must be a text or an object; it is 3/],
      [config({ bos_token: { content: 3 } }), /bos_token: content must be a text; it is 3/],
      [config({ eos_token: { content: 'a', lstrip: 'no' } }), /eos_token: lstrip must be true or false; it is "no"/],
      [config({ added_tokens_decoder: [] }), /added_tokens_decoder must be an object; it is \[\]/],
      [config({ added_tokens_decoder: { a: {} } }), /added_tokens_decoder must have ids as names; it is "a"/],
      [config({ added_tokens_decoder: { 7: 'a' } }), /added_tokens_decoder: 7 must be an object; it is "a"/],
      [config({ added_tokens_decoder: { 1e20: { content: 'a' } } }), /must have ids as names/],
      [config({ extra_special_tokens: 'a' }), /extra_special_tokens must be a list .*; it is "a"/],
      [config({ additional_special_tokens: [7] }), /special_tokens must be a text or an object; it is 7/],
      [
        { ...files, 'tokenizer_config.json': {}, 'special_tokens_map.json': { bos_token: [] } },
        /_map\.json: bos_token/,
      ],
      [
        { ...files, 'tokenizer_config.json': {}, 'added_tokens.json': { a: -1 } },
        /added_tokens\.json: a must be an id/,
      ],
      [model({ added_tokens: {} }), /tokenizer\.json: added_tokens must be a list; it is {}/],
      [model({ added_tokens: [{ content: 'a', id: 1e12 }] }), /added_tokens: a: id must be an integer/],
      [
        {
          ...model({ model: { type: 'BPE', merges: [], vocab: { a: -3 } } }),
          'tokenizer_config.json': { eos_token: 'a' },
        },
        /model: vocab: a must be an id; it is -3/,
      ],
      [model({ model: { type: 'BPE', merges: [] } }), /model: vocab must be an object or a list; it is missing/],
    ]
    for (const [each, message] of wrong) {
      const folder = await folderOf(context, each)
      assert.throws(() => loadCodec(folder), { code: 'CHECKPOINT_FORMAT', message }, String(message))
    }
  })

  it('need no other file than tokenizer.json, and null is nothing', async (context) => {
    const { files } = CASES[0]!
    const alone = await folderOf(context, { 'tokenizer.json': files['tokenizer.json']! })
    assert.deepEqual(namedTokens(alone), {})
    const nothing = { bos_token: null, added_tokens_decoder: null, extra_special_tokens: null, add_bos_token: true }
    const nulls = await folderOf(context, { ...files, 'tokenizer_config.json': nothing })
    assert.equal(loadCodec(nulls).decode([0], false), loadCodec(alone).decode([0], false))
  })
})
