import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Conversation } from '../../../src/client/chat/conversation.ts'

/** As "role:content", short. */
function told({ messages }: Conversation): string {
  return messages.map(({ role, content }) => `${role[0]}:${content}`).join(' ')
}

function talked(): Conversation {
  const conversation = new Conversation()
  for (const [user, assistant] of [
    ['a', 'A'],
    ['b', 'B'],
  ] as const) {
    conversation.ask(user)
    conversation.answer(assistant)
  }
  return conversation
}

test('turns alternate, behind the system message', () => {
  const conversation = talked()
  conversation.setSystem('x')
  assert.equal(told(conversation), 's:x u:a a:A u:b a:B')
  conversation.setSystem('')
  assert.equal(told(conversation), 'u:a a:A u:b a:B')
})

test('retry takes the answer back, edit changes the question, undo forgets the turn, clear all', () => {
  const conversation = talked()
  conversation.retry()
  assert.equal(told(conversation), 'u:a a:A u:b')
  conversation.answer('C')
  conversation.edit('d')
  assert.equal(told(conversation), 'u:a a:A u:d')
  conversation.answer('D')
  conversation.undo()
  assert.equal(told(conversation), 'u:a a:A')
  assert.equal(conversation.lastUser, 'a')
  conversation.clear()
  assert.deepEqual(conversation.messages, [])
})

test('a question without an answer gives way to the next one', () => {
  const conversation = talked()
  conversation.ask('c')
  conversation.ask('d')
  assert.equal(told(conversation), 'u:a a:A u:b a:B u:d')
})

test('nothing can be changed before something was said', () => {
  for (const change of ['retry', 'undo'] as const)
    assert.throws(() => new Conversation()[change](), /nothing has been said yet/)
  assert.throws(() => new Conversation().edit('a'), /nothing has been said yet/)
})
