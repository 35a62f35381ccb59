import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { parseRequest } from '../../../src/api/openai/fields.ts'
import { COMPLETION_REQUEST } from '../../../src/api/openai/completions/request.ts'
import { CHAT_REQUEST } from '../../../src/api/openai/chat/request.ts'

const MANY = 1 << 16
const TOO_MANY = { message: `the body has more than ${MANY} values` }

test('a request of too many values is refused before each of them is looked at, wherever they are', () => {
  const ones = Array.from({ length: MANY }, () => 1)
  const part = { type: 'text', text: 'a' }
  for (const fields of [
    { messages: ones },
    { messages: [{ role: 'user', content: ones }] },
    {
      messages: Array.from({ length: 400 }, () => ({ role: 'user', content: Array.from({ length: 60 }, () => part) })),
    },
    { messages: [{ role: 'user', content: 'a' }], stop: ones },
    { messages: [{ role: 'user', content: 'a' }], logit_bias: { ...ones } },
    { messages: [{ role: 'user', content: 'a' }], of_no_meaning: [[ones]] },
  ])
    assert.throws(() => parseRequest(CHAT_REQUEST, fields), TOO_MANY)
  assert.throws(() => parseRequest(z.array(z.int()), ones.concat(1)), TOO_MANY)
})

test('ten thousand messages are taken, and prompts of as many token ids as there are', () => {
  const messages = Array.from({ length: 10_000 }, () => ({ role: 'user', content: 'a' }))
  assert.equal(parseRequest(CHAT_REQUEST, { messages }).messages.length, 10_000)
  const prompt = Array.from({ length: 300_000 }, (_, id) => id)
  assert.equal(parseRequest(COMPLETION_REQUEST, { prompt }).prompt, prompt)
  assert.throws(() => parseRequest(COMPLETION_REQUEST, { prompt: [...prompt, 0.5] }), /0\.5 is no token id/)
})
