import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChatTokenizer, TokenHistory } from '../../../src/client/chat/token-history.ts'

/** A token for each character, its code; a pair of equal letters is one token. Optionally a space before each text. */
function tokenizer(prefix: boolean): ChatTokenizer {
  return {
    encode: async (text) => [
      ...(prefix ? [32] : []),
      ...[...text.matchAll(/([a-z])\1|[^]/g)].map(([piece]) => piece.charCodeAt(0) + (piece.length - 1) * 1000),
    ],
    decode: async (ids) => ids.map((id) => String.fromCharCode(id % 1000).repeat(id >= 1000 ? 2 : 1)).join(''),
  }
}

const codes = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

test('an answer keeps the tokens that the model chose, where the text goes on from it', async () => {
  const history = new TokenHistory(tokenizer(false))
  assert.deepEqual(await history.extend('xy'), codes('xy'))
  // The tokenizer would write one token.
  await history.append('aa', codes('aa'))
  assert.deepEqual(await history.extend('xyaaz'), codes('xyaaz'))
  assert.deepEqual(await history.extend('xyaaz!'), codes('xyaaz!'))
})

test('a text that was changed is encoded from there on', async () => {
  const history = new TokenHistory(tokenizer(false))
  await history.extend('xy')
  await history.append('aa', codes('aa'))
  assert.deepEqual(await history.extend('xyAa'), codes('xyAa'))
  // The answer is not a part of the history any more.
  assert.deepEqual(await history.extend('xyaa'), [...codes('xy'), 1097])
})

test('tokens behind the text, an EOS or a stop string, are not a part of it', async () => {
  const history = new TokenHistory(tokenizer(false))
  await history.extend('x')
  await history.append('aa', codes('aa#'))
  assert.deepEqual(await history.extend('xaa.'), codes('xaa.'))
})

test('what a tokenizer puts before every text is not put into the middle of one', async () => {
  const history = new TokenHistory(tokenizer(true))
  assert.deepEqual(await history.extend('x'), codes(' x'))
  await history.append('a', codes('a'))
  assert.deepEqual(await history.extend('xab'), codes(' xab'))
})
