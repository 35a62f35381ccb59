import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonPrefix } from '../../../src/base/common-prefix.ts'
import {
  type AnswerOptions,
  type ChatAnswer,
  type ChatModules,
  ChatSession,
} from '../../../src/client/chat-session/chat-session.ts'
import type { ChatMessage } from '../../../src/client/chat/messages.ts'

const MAX_TOKENS = 40

/** A letter is a token. */
const tokenizer = {
  encode: async (text: string) => [...text].map((letter) => letter.codePointAt(0)!),
  decode: async (ids: readonly number[]) => String.fromCodePoint(...ids),
}

const template = {
  render: (messages: readonly ChatMessage[]) => `${messages.map(({ role, content }) => role[0]! + content).join('')}a`,
}

/** Answers with as many x as are asked for, and holds what was told last. */
function parrot(): ChatModules['texts'] {
  let held: number[] = []
  return {
    async *stream(prompt, { maxNewTokens = 0 } = {}) {
      const promptIds = [...(prompt as number[])]
      const cachedTokens = Math.min(commonPrefix(promptIds, held), promptIds.length - 1)
      const tokenIds = Array.from({ length: maxNewTokens }, () => 'x'.codePointAt(0)!)
      held = [...promptIds, ...tokenIds.slice(1)]
      const text = 'x'.repeat(maxNewTokens)
      yield { tokenIds, text }
      const finishReason = 'length' as const
      return { promptIds, tokenIds, logprobs: [], text, finishReason, seconds: 1, prefillSeconds: 1, cachedTokens }
    },
    async close() {},
  }
}

function openChat(): ChatSession {
  return new ChatSession({ template, tokenizer, texts: parrot(), maxTokens: MAX_TOKENS })
}

async function answer(chat: ChatSession, messages: ChatMessage[], options: AnswerOptions): Promise<ChatAnswer> {
  const chunks = chat.answer(messages, options)
  for (;;) {
    const next = await chunks.next()
    if (next.done !== true) continue
    messages.push({ role: 'assistant', content: next.value.text })
    return next.value
  }
}

const ask = (messages: ChatMessage[], content: string) => messages.push({ role: 'user', content })

test('an answer that has no room says so, and the next one is refused', async () => {
  const chat = openChat()
  const messages: ChatMessage[] = [{ role: 'system', content: '1234' }]
  ask(messages, '12345678')
  const first = await answer(chat, messages, { maxNewTokens: 8 })
  assert.deepEqual([first.contextTokens, first.tokenIds.length, first.isFull], [15, 8, false])
  ask(messages, '1234567')
  const second = await answer(chat, messages, { maxNewTokens: 16 })
  assert.deepEqual([second.contextTokens, second.tokenIds.length, second.isFull, second.leftOut], [32, 8, true, 0])
  ask(messages, '1')
  await assert.rejects(answer(chat, messages, { maxNewTokens: 16 }), {
    code: 'CHAT_TOO_LONG',
    message: /^the conversation has 43 tokens and the model takes 40, the answer's among them: take turns back/,
  })
})

test('with shift the oldest turns are left out, at once so many that half of the room is free', async () => {
  const chat = openChat()
  const messages: ChatMessage[] = [{ role: 'system', content: '1234' }]
  const answers: ChatAnswer[] = []
  for (let turn = 0; turn < 8; turn++) {
    ask(messages, 'abc')
    answers.push(await answer(chat, messages, { maxNewTokens: 4, onFull: 'shift' }))
  }
  // A turn has 9 tokens, and the system message 5: with the fourth question there are fewer than 4 left.
  assert.deepEqual(
    answers.map(({ leftOut, contextTokens }) => [leftOut, contextTokens]),
    [
      [0, 10],
      [0, 19],
      [0, 28],
      [4, 19],
      [4, 28],
      [8, 19],
      [8, 28],
      [12, 19],
    ],
  )
  assert.equal(answers[6]!.newTokens, 6, 'what is told since is computed once: the last x, a mark and a question')
  assert.ok(answers.every(({ isFull }) => !isFull))
  ask(messages, 'abc')
  await assert.rejects(answer(chat, messages, { maxNewTokens: 4 }), { code: 'CHAT_TOO_LONG' }, 'all is told again')
})

test('of a conversation that begins otherwise nothing is left out', async () => {
  const chat = openChat()
  const messages: ChatMessage[] = []
  for (let turn = 0; turn < 5; turn++) {
    ask(messages, 'abcd')
    await answer(chat, messages, { maxNewTokens: 4, onFull: 'shift' })
  }
  const other: ChatMessage[] = [{ role: 'user', content: 'x' }]
  assert.equal((await answer(chat, other, { maxNewTokens: 4, onFull: 'shift' })).leftOut, 0)
})

test('a message that is too long by itself cannot be helped by shifting', async () => {
  const messages: ChatMessage[] = []
  ask(messages, 'a')
  const chat = openChat()
  await answer(chat, messages, { maxNewTokens: 4 })
  ask(messages, 'a'.repeat(50))
  await assert.rejects(answer(chat, messages, { maxNewTokens: 4, onFull: 'shift' }), {
    code: 'CHAT_TOO_LONG',
    message: /^the message has 52 tokens and the model takes 40, .*: shorten it$/,
  })
})
