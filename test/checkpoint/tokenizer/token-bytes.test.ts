import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { PetalsError } from '../../../src/base/errors.ts'
import { type Codec, loadCodec } from '../../../src/checkpoint/tokenizer/codec.ts'
import { SPECIAL_BYTE, bytesOf, sizeOf } from '../../../src/sampling/grammar/tokens/vocabulary.ts'
import { seededRandom } from '../../../src/sampling/random.ts'

const DEMO = new URL('../../../models/demo', import.meta.url).pathname
const SEED = 3

/** Pieces as SentencePiece has them: a mark for spaces, and a token for each byte. */
const PIECES = '<unk> <s> ▁ ▁the a bc ▁▁▁▁ 日 本語 . ▁" { é ▁😀'.split(' ')
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
const TOKENS = [...PIECES, ...BYTES]

function added(content: string, id: number, special: boolean) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}

const ADDED = [
  added('<unk>', 0, true),
  added('<s>', 1, true),
  added('<tool_call>', TOKENS.length, false),
  added('[CALL]', TOKENS.length + 1, true),
]

const BPE = {
  type: 'BPE',
  byte_fallback: true,
  unk_token: '<unk>',
  vocab: Object.fromEntries(TOKENS.map((token, id) => [token, id])),
  merges: [],
}
const UNIGRAM = { type: 'Unigram', unk_id: 0, byte_fallback: true, vocab: TOKENS.map((token, id) => [token, -id]) }
const EMPTY = { version: '1.0', normalizer: null, pre_tokenizer: null, post_processor: null }
const REPLACE = { type: 'Replace', pattern: { String: '▁' }, content: ' ' }
const STRIP = { type: 'Strip', content: ' ', start: 1, stop: 0 }

/** tokenizer.json of several kinds, without what is only needed to encode. */
const TOKENIZERS: Record<string, { model: object; decoder: object; dropsFirstSpace: boolean }> = {
  'Llama 2': {
    model: BPE,
    decoder: { type: 'Sequence', decoders: [REPLACE, { type: 'ByteFallback' }, { type: 'Fuse' }, STRIP] },
    dropsFirstSpace: true,
  },
  Gemma: {
    model: BPE,
    decoder: { type: 'Sequence', decoders: [REPLACE, { type: 'ByteFallback' }, { type: 'Fuse' }] },
    dropsFirstSpace: false,
  },
  Metaspace: {
    model: UNIGRAM,
    decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' },
    dropsFirstSpace: true,
  },
}

async function withCodec(json: object, use: (codec: Codec) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-tokens-'))
  try {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...EMPTY, added_tokens: ADDED, ...json }))
    use(loadCodec(folder))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Texts of random tokens are what their bytes are together. */
function checkTexts(codec: Codec, numTokens: number): void {
  const vocabulary = codec.vocabulary()
  const random = seededRandom(SEED)
  let numTexts = 0
  for (let i = 0; i < 2000; i++) {
    const ids = Array.from({ length: 1 + Math.floor(random() * 4) }, () => Math.floor(random() * numTokens))
    const bytes = ids.map((id) => bytesOf(vocabulary, id))
    if (bytes.some((token) => token.length === 0 || token[0] === SPECIAL_BYTE)) continue
    let text: string
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes))
    } catch {
      continue
    }
    numTexts++
    const shown = vocabulary.dropsFirstSpace ? text.replace(/^ /, '') : text
    assert.equal(codec.decode(ids, false), shown, `ids ${ids.join()}`)
  }
  assert.ok(numTexts > 100, `${numTexts} texts`)
}

test(`the demo model's tokens have the bytes of their texts (seed ${SEED})`, () => {
  const codec = loadCodec(DEMO)
  assert.equal(sizeOf(codec.vocabulary()), 4096)
  checkTexts(codec, 4096)
  assert.deepEqual(Buffer.from(bytesOf(codec.vocabulary(), 1)).subarray(1).toString(), '<|end_of_text|>')
  assert.equal(bytesOf(codec.vocabulary(), 1)[0], SPECIAL_BYTE)
})

for (const [name, { dropsFirstSpace, ...json }] of Object.entries(TOKENIZERS)) {
  test(`tokens of ${name} have the bytes of their texts (seed ${SEED})`, async () => {
    await withCodec(json, (codec) => {
      const vocabulary = codec.vocabulary()
      assert.equal(vocabulary.dropsFirstSpace, dropsFirstSpace)
      const bytes = (id: number): string => Buffer.from(bytesOf(vocabulary, id)).toString('latin1')
      assert.equal(bytes(PIECES.indexOf('▁the')), ' the')
      assert.equal(bytes(TOKENS.length), '<tool_call>')
      assert.equal(bytes(TOKENS.length + 1), '\xff[CALL]')
      assert.equal(bytes(1), '\xff<s>')
      assert.equal(bytes(sizeOf(vocabulary) + 5), '')
      if (name === 'Metaspace') return
      // No text has this byte, and special tokens begin with it.
      assert.equal(bytes(TOKENS.indexOf('<0xFF>')), '')
      assert.equal(bytes(TOKENS.indexOf('<0xE6>')), '\xe6')
      checkTexts(codec, TOKENS.length)
    })
  })
}

test('tokens without bytes of their own are refused by name', async () => {
  const model = { type: 'WordPiece', unk_token: '<unk>', vocab: BPE.vocab }
  await withCodec({ model, decoder: { type: 'WordPiece', prefix: '##', cleanup: true } }, (codec) =>
    assert.throws(
      () => codec.vocabulary(),
      (error: PetalsError) => error.code === 'CONSTRAINT_UNSUPPORTED' && error.message.includes('WordPiece'),
    ),
  )
})
