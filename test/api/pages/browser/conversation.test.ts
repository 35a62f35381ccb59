import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestBody } from '../../../../src/api/pages/browser/chat/model/completion.ts'
import {
  type Conversation,
  asMarkdown,
  asRead,
  merged,
  messagesUpTo,
  newConversation,
  showing,
  shownMessages,
  versionsOf,
  withChanged,
  withMessage,
} from '../../../../src/api/pages/browser/chat/model/conversation.ts'
import { SAMPLING_FIELDS, withField, withStop } from '../../../../src/api/pages/browser/chat/model/sampling-fields.ts'

const textsOf = (conversation: Conversation): string[] => shownMessages(conversation).map(({ text }) => text)

function add(conversation: Conversation, text: string, parent: string | null, role: 'user' | 'assistant' = 'user') {
  return withMessage(conversation, { role, text, parent })
}

test('messages form a tree, of which one path is shown: the latest, until another one is chosen', () => {
  const first = add(newConversation('demo'), 'hello\nthere', null)
  const answer = add(first.conversation, 'hi', first.message.id, 'assistant')
  const again = add(answer.conversation, 'good day', first.message.id, 'assistant')
  assert.equal(again.conversation.title, 'hello')
  assert.deepEqual(textsOf(again.conversation), ['hello\nthere', 'good day'])
  const older = showing(again.conversation, answer.message)
  const more = add(older, 'how are you?', answer.message.id)
  assert.deepEqual(textsOf(more.conversation), ['hello\nthere', 'hi', 'how are you?'])
  assert.deepEqual(textsOf(showing(more.conversation, again.message)), ['hello\nthere', 'good day'])
  const edited = add(more.conversation, 'hey', null)
  assert.deepEqual(textsOf(edited.conversation), ['hey'])
  assert.deepEqual(textsOf(showing(edited.conversation, first.message)), ['hello\nthere', 'hi', 'how are you?'])
  assert.equal(versionsOf(edited.conversation, answer.message).length, 2)
  assert.deepEqual(
    messagesUpTo(edited.conversation, more.message.id).map(({ text }) => text),
    ['hello\nthere', 'hi', 'how are you?'],
  )
})

test('what was being answered when the page was closed was stopped', () => {
  const { conversation, message } = add(newConversation('demo'), 'x', null, 'assistant')
  const facts = { model: 'demo', state: 'streaming', incidents: [] } as const
  const coming = withChanged(conversation, message.id, (each) => ({ ...each, facts }))
  assert.equal(asRead(coming).messages[0]!.facts!.state, 'stopped')
})

test('a long first line is cut for the title', () => {
  const { conversation } = add(newConversation('demo'), `  ${'word '.repeat(40)}`, null)
  assert.equal(conversation.title.length <= 60, true)
  assert.match(conversation.title, /word…$/)
  assert.match(asMarkdown({ ...conversation, system: 'a\nb' }), /^# word[^]*> a\n> b[^]*\*\*You:\*\*/)
})

test('a request carries what was set, and questions whose answers never came are one', () => {
  const turns = ['one', '', 'two', 'yes', 'three'].map((text, i) => ({
    role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
    text,
  }))
  const body = requestBody({ model: 'demo', system: ' ', sampling: { topK: 4, stop: [] } }, turns)
  assert.deepEqual(JSON.parse(JSON.stringify(body)), {
    model: 'demo',
    messages: [
      { role: 'user', content: 'one\n\ntwo' },
      { role: 'assistant', content: 'yes' },
      { role: 'user', content: 'three' },
    ],
    stream: true,
    stream_options: { include_usage: true },
    top_k: 4,
  })
})

test('numbers outside of their limits are not taken, and empty ones unset', () => {
  const [temperature] = SAMPLING_FIELDS
  const topK = SAMPLING_FIELDS.find(({ name }) => name === 'topK')!
  assert.deepEqual(withField({ topK: 3 }, temperature!, '0.7'), { topK: 3, temperature: 0.7 })
  assert.deepEqual(withField({ topK: 3, temperature: 1 }, temperature!, ' '), { topK: 3 })
  for (const typed of ['-1', '2.1', 'x', 'Infinity', '1e999'])
    assert.equal(withField({}, temperature!, typed), undefined)
  for (const typed of ['0', '1.5', '1001']) assert.equal(withField({}, topK, typed), undefined, typed)
  assert.deepEqual(withStop({ stop: ['a'] }, '\n'), {})
  assert.deepEqual(withStop({}, 'a\n\nb\nc\nd\ne'), { stop: ['a', 'b', 'c', 'd'] })
})

test('of two copies of a conversation nothing is lost: each message as far as it has come', () => {
  const question = add(newConversation('demo'), 'hello', null)
  const facts = { model: 'demo', state: 'streaming' as const, incidents: [] }
  const { conversation: base, message: answer } = withMessage(question.conversation, {
    role: 'assistant',
    text: 'one two',
    parent: question.message.id,
    facts,
  })
  const further = withChanged(base, answer.id, (message) => ({ ...message, text: 'one two three' }))
  const other = add({ ...base, title: 'renamed' }, 'meanwhile', question.message.id)
  for (const whole of [merged(further, other.conversation), merged(other.conversation, further)]) {
    assert.deepEqual(
      whole.messages.map(({ text }) => text),
      ['hello', 'one two three', 'meanwhile'],
    )
  }
  assert.equal(merged(further, other.conversation).title, 'renamed')
  // Read by another page while it is written here.
  const [, read] = merged(base, asRead(base)).messages
  assert.equal(read!.facts!.state, 'streaming')
  const done = withChanged(base, answer.id, (message) => ({ ...message, facts: { ...facts, state: 'done' } }))
  assert.equal(merged(asRead(base), done).messages[1]!.facts!.state, 'done')
})
