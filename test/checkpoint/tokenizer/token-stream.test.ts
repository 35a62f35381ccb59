import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STREAM_START, advance, rest } from '../../../src/checkpoint/tokenizer/stream.ts'
import { TokenStream } from '../../../src/checkpoint/tokenizer/token-stream.ts'
import { WholeTexts } from '../../../src/checkpoint/tokenizer/whole-texts.ts'
import { SPECIAL_BYTE, createVocabulary } from '../../../src/sampling/grammar/tokens/vocabulary.ts'
import { seededRandom } from '../../../src/sampling/random.ts'

const SEED = 5

/** Words, parts of characters, spaces, a replacement character, a special token and one that nothing stands for. */
const TEXTS = ['the', ' cat', ' ', '\u00e9', '\uFFFD', '  ', 'x\u{1F389}', '']
const SPECIAL = TEXTS.length
const TOKENS = [
  ...TEXTS.map((text) => Buffer.from(text)),
  Buffer.from([SPECIAL_BYTE, 0x3c, 0x73, 0x3e]),
  ...[...Buffer.from('\u{1F389}')].map((byte) => Buffer.of(byte)),
]

/** Decodes as byte-level BPE does or, with `dropsFirstSpace`, as SentencePiece. */
function decoderOf(dropsFirstSpace: boolean) {
  const decode = (ids: readonly number[]): string => {
    const bytes = ids.map((id) => (id === SPECIAL ? Buffer.from('<s>') : TOKENS[id]!))
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(bytes))
    return dropsFirstSpace ? text.replace(/^ /, '') : text
  }
  return decode
}

for (const dropsFirstSpace of [false, true])
  test(`with or without its thread a stream gives the whole text (${dropsFirstSpace}, seed ${SEED})`, async () => {
    const decode = decoderOf(dropsFirstSpace)
    const texts = new WholeTexts(createVocabulary(TOKENS, dropsFirstSpace))
    const random = seededRandom(SEED)
    for (let round = 0; round < 300; round++) {
      const stream = new TokenStream({
        advance: async (state, ids) => advance(decode, state, ids),
        rest: async (state) => rest(decode, state),
        textOf: (id) => texts.of(id),
      })
      const ids = Array.from({ length: 12 }, () => Math.floor(random() * TOKENS.length * (round % 2 ? 1 : 0.6)))
      const pieces = ids.map((id) => stream.push([id]))
      // Some are asked for before the last one has come, others are not.
      const shown = (await Promise.all(pieces)).join('') + (await stream.flush())
      assert.equal(shown, decode(ids), ids.join())
      let again = ''
      for (const id of ids) again += await stream.push([id])
      assert.equal(again + (await stream.flush()), decode(ids), ids.join())
    }
  })

test('the thread is not asked for whole characters behind whole ones', async () => {
  const asked: number[] = []
  const decode = decoderOf(false)
  const texts = new WholeTexts(createVocabulary(TOKENS, false))
  const stream = new TokenStream({
    advance: async (state, ids) => {
      asked.push(...ids)
      return advance(decode, state, ids)
    },
    rest: async (state) => rest(decode, state),
    textOf: (id) => texts.of(id),
  })
  assert.equal(stream.push([0]), 'the')
  assert.equal(stream.push([1]), ' cat')
  assert.equal(await stream.push([SPECIAL]), '<s>')
  assert.equal(await stream.push([2]), ' ')
  const party = [9, 10, 11, 12]
  assert.deepEqual(await Promise.all(party.map((id) => stream.push([id]))), ['', '', '', '\u{1F389}'])
  assert.deepEqual(asked, [SPECIAL, ...party])
  assert.equal(await stream.flush(), '')
  assert.equal(advance(decode, STREAM_START, [0]).piece, 'the')
})
