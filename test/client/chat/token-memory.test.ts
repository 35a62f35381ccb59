import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenMemory } from '../../../src/client/chat/token-memory.ts'

/** Every character is a token; the model may also have written two characters as one. */
const tokenizer = {
  encode: async (text: string) => [...text].map((char) => char.charCodeAt(0)),
  decode: async (ids: readonly number[]) => ids.map((id) => (id >= 1000 ? 'ab' : String.fromCharCode(id))).join(''),
}
const AB = 1000
const idsOf = (text: string): number[] => [...text].map((char) => char.charCodeAt(0))

async function answer(memory: TokenMemory, prompt: string, ids: readonly number[]): Promise<number[]> {
  const { ids: promptIds, history } = await memory.encode(prompt)
  await history.append(await tokenizer.decode(ids), ids)
  memory.keep(history)
  return promptIds
}

test('a conversation that goes on keeps the tokens that the model chose', async () => {
  const memory = new TokenMemory(tokenizer)
  assert.deepEqual(await answer(memory, 'Q1?', [AB, ...idsOf('!')]), idsOf('Q1?'))
  assert.deepEqual(await answer(memory, 'Q1?ab!Q2?', [AB]), [...idsOf('Q1?'), AB, ...idsOf('!Q2?')])
  const third = await memory.encode('Q1?ab!Q2?abQ3?')
  assert.deepEqual(third.ids, [...idsOf('Q1?'), AB, ...idsOf('!Q2?'), AB, ...idsOf('Q3?')])
})

test('conversations do not mix, and one that was changed is encoded from there on', async () => {
  const memory = new TokenMemory(tokenizer)
  await answer(memory, 'Q1?', [AB])
  await answer(memory, 'P1?', idsOf('ab'))
  assert.deepEqual((await memory.encode('P1?ab')).ids, idsOf('P1?ab'))
  assert.deepEqual((await memory.encode('Q1?ab')).ids, [...idsOf('Q1?'), AB])
  assert.deepEqual((await memory.encode('Q1?xab')).ids, idsOf('Q1?xab'))
  // Two answers to one question are two conversations.
  await answer(memory, 'Q1?', [...idsOf('x'), AB])
  assert.deepEqual((await memory.encode('Q1?xab.')).ids, [...idsOf('Q1?x'), AB, ...idsOf('.')])
  assert.deepEqual((await memory.encode('Q1?ab.')).ids, [...idsOf('Q1?'), AB, ...idsOf('.')])
})

test('the oldest conversations are forgotten', async () => {
  const memory = new TokenMemory(tokenizer)
  for (let i = 0; i < 100; i++) await answer(memory, `${i}?`, [AB])
  assert.deepEqual((await memory.encode('0?ab')).ids, idsOf('0?ab'))
  assert.deepEqual((await memory.encode('99?ab')).ids, [...idsOf('99?'), AB])
})
