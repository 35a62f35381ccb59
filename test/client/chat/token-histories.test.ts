import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenHistories } from '../../../src/client/chat/token-histories.ts'
import type { ChatTokenizer } from '../../../src/client/chat/token-history.ts'

let encoded = ''

/** A token for each character, its code; a pair of equal letters is one token. */
const tokenizer: ChatTokenizer = {
  async encode(text) {
    encoded += text
    return [...text.matchAll(/([a-z])\1|[^]/g)].map(([piece]) => piece.charCodeAt(0) + (piece.length - 1) * 1000)
  },
  decode: async (ids) => ids.map((id) => String.fromCharCode(id % 1000).repeat(id >= 1000 ? 2 : 1)).join(''),
}

const codes = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

test('each of several conversations keeps the tokens of its own answers, also where they branch', async () => {
  const histories = new TokenHistories(tokenizer)
  const one = await histories.extend('xy')
  const other = await histories.extend('xy')
  // The tokenizer would write one token.
  await one.append('aa', codes('aa'))
  await other.append('bb', codes('bb'))
  const next = await histories.extend('xyaaz')
  assert.deepEqual(next.ids, codes('xyaaz'))
  await next.append('cc', codes('cc'))
  assert.deepEqual((await histories.extend('xybbz')).ids, codes('xybbz'))
  assert.deepEqual((await histories.extend('xyaazccz')).ids, codes('xyaazccz'))
  assert.deepEqual((await histories.extend('xyaa!')).ids, codes('xyaa!'))
  assert.deepEqual((await histories.extend('xydd')).ids, [...codes('xy'), 1100])
  assert.deepEqual((await histories.extend('zaa')).ids, [...codes('z'), 1097])
})

test('only what is new is encoded', async () => {
  const histories = new TokenHistories(tokenizer)
  let text = 'x'.repeat(1001)
  for (let turn = 0; turn < 5; turn++) {
    const known = await histories.extend(text)
    await known.append('ab', codes('ab'))
    text += 'abq'
    encoded = ''
  }
  await histories.extend(text)
  assert.equal(encoded, 'q')
})

test('the oldest conversations are forgotten', async () => {
  const histories = new TokenHistories(tokenizer, 4000)
  const told = async (i: number) => {
    const known = await histories.extend(`${i}:`)
    await known.append('aa', codes('aa'))
  }
  for (let i = 0; i < 300; i++) await told(i)
  assert.deepEqual((await histories.extend('299:aa')).ids, codes('299:aa'))
  assert.deepEqual((await histories.extend('3:aa')).ids, [...codes('3:'), 1097])
  for (let i = 0; i < 3; i++) {
    const known = await histories.extend(`${i}`.repeat(1500))
    await known.append('aa', codes('aa'))
  }
  assert.deepEqual((await histories.extend('299:aa')).ids, [...codes('299:'), 1097])
})
