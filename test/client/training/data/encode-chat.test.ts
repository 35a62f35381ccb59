import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compileTemplate } from '../../../../src/client/chat/jinja-template.ts'
import type { ChatMessage } from '../../../../src/client/chat/messages.ts'
import { encodeChat } from '../../../../src/client/training/data/encode-chat.ts'
import { EOS, decodeToy, toyModel } from './toy-model.ts'

const MESSAGES: ChatMessage[] = [
  { role: 'system', content: 'S' },
  { role: 'user', content: 'q1' },
  { role: 'assistant', content: 'a1' },
  { role: 'user', content: 'q2' },
  { role: 'assistant', content: 'abc' },
  { role: 'user', content: 'unanswered' },
]

/** What is learned of each text; `_` for each token that is not. */
async function learned(template: string, messages = MESSAGES): Promise<string[]> {
  const compiled = compileTemplate({ text: template, name: 'a template', specialTokens: {}, stopStrings: [] })
  const texts = await encodeChat({ template: compiled, tokenizer: toyModel().tokenizer!, endIds: [EOS] }, messages)
  return texts.map(({ ids, isLearned }) => ids.map((id, i) => (isLearned(i) ? decodeToy([id]) : '_')).join(''))
}

function unlearned(text: string): string {
  return '_'.repeat(text.length)
}

const TURNS = `{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}$
{% endfor %}{% if add_generation_prompt %}<a>{% endif %}`

describe('of a conversation the answers are learned, token by token', () => {
  test('each to the token that ends it, and not the line end after it', async () => {
    // <s>S$, <u>q1$, <a>a1$, ...; pairs that the tokenizer joins count as one.
    assert.deepEqual(await learned(TURNS), [`${unlearned('<s>S$\n<u>q1$\n<a>')}a1$${unlearned('\n<u>q2$\n<a>')}abc$_`])
  })

  test('a token that holds the end of a question and the beginning of an answer is learned', async () => {
    const template = "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}:{% endif %}{% endfor %}"
    const messages: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: ' yes' },
    ]
    assert.deepEqual(await learned(template, messages), ['_: yes'])
  })

  test('what stands between a question and its answer is learned where the model is not given it', async () => {
    const template = '{% for m in messages %}{{ m.content }}{% if not loop.last %} {% endif %}{% endfor %}'
    const messages: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'x.' },
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'y' },
    ]
    assert.deepEqual(await learned(template, messages), ['_ x. _ y'])
  })

  test('where a template prints earlier answers otherwise, each answer has a text of its own', async () => {
    const thinking =
      "{% for m in messages %}<{{ m.role[0] }}>{{ '(hm)' if m.role == 'assistant' and loop.last else '' }}" +
      '{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}'
    const messages = MESSAGES.slice(1, 5)
    assert.deepEqual(await learned(thinking, messages), [
      `${unlearned('<u>q1<a>')}(hm)a1`,
      `${unlearned('<u>q1<a>a1<u>q2<a>')}(hm)abc`,
    ])
  })

  test('an answer that nothing comes before', async () => {
    const refusing = `{% if not messages %}{{ raise_exception('empty') }}{% endif %}${TURNS}`
    assert.deepEqual(await learned(refusing, [{ role: 'assistant', content: 'hello' }]), ['___hello$_'])
  })
})
