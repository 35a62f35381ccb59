import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PetalsError, UsageError } from '../../../src/base/errors.ts'
import { compileTemplate } from '../../../src/client/chat/jinja-template.ts'
import type { ChatMessage } from '../../../src/client/chat/messages.ts'
import { findTemplate } from '../../../src/client/chat/template-source.ts'

const MESSAGES: ChatMessage[] = [
  { role: 'system', content: 'Be terse.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: ' Hello.' },
  { role: 'user', content: 'Bye' },
]

async function folderWith(t: TestContext, files: Record<string, unknown>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-template-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [file, content] of Object.entries(files))
    await writeFile(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content))
  return folder
}

const renderAs = async (folder: string, choice: string) =>
  compileTemplate(await findTemplate(folder, choice)).render(MESSAGES)
const compile = (text: string) => compileTemplate({ text, name: 'x.jinja', specialTokens: {}, stopStrings: [] })

test("a model's template is in chat_template.jinja, else chat_template.json, else tokenizer_config.json", async (t) => {
  const inConfig = { chat_template: 'config', bos_token: { content: '<s>' } }
  const cases: [Record<string, unknown>, string][] = [
    [
      {
        'chat_template.jinja': 'jinja',
        'chat_template.json': { chat_template: 'json' },
        'tokenizer_config.json': inConfig,
      },
      'jinja',
    ],
    [{ 'chat_template.json': { chat_template: 'json' }, 'tokenizer_config.json': inConfig }, 'json'],
    [{ 'tokenizer_config.json': { ...inConfig, chat_template: '{{ bos_token }}config' } }, '<s>config'],
    [
      {
        'tokenizer_config.json': {
          chat_template: [
            { name: 'tool_use', template: 'tools' },
            { name: 'default', template: 'default' },
          ],
        },
      },
      'default',
    ],
  ]
  for (const [files, text] of cases) assert.equal(await renderAs(await folderWith(t, files), 'model'), text)
})

test('a model without a template leaves the choice to the user', async (t) => {
  const folder = await folderWith(t, {
    'tokenizer_config.json': { bos_token: '<s>' },
    'own.jinja': '{{ messages | length }}',
  })
  await assert.rejects(
    findTemplate(folder, 'model'),
    (error) =>
      error instanceof UsageError &&
      /has no chat template: choose --template chatml, --template plain/.test(error.message),
  )
  assert.equal(
    await renderAs(folder, 'chatml'),
    '<|im_start|>system\nBe terse.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n' +
      '<|im_start|>assistant\n Hello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
  )
  assert.equal(await renderAs(folder, 'plain'), '<s>Be terse.\n\nUser: Hi\nAssistant: Hello.\nUser: Bye\nAssistant:')
  assert.equal(await renderAs(folder, join(folder, 'own.jinja')), '4')
  await assert.rejects(
    findTemplate(folder, 'chatlm'),
    /--template chatlm: expected model, chatml, plain or a file: .*no such file/,
  )
})

const refused: [string, string, RegExp][] = [
  [
    'continue, which loses what was printed',
    '{% for m in messages %}a{% if m %}{% continue %}{% endif %}b{% endfor %}',
    /^x\.jinja: it uses \{% continue %\}, which would be rendered wrongly here; another can be chosen with --template$/,
  ],
  ['break', '{% for m in messages %}{% break %}{% endfor %}', /\{% break %\}/],
  ['a date that is not filled in', '{{ strftime_now("%d %A") }}', /it uses strftime_now with %A/],
  ['syntax that is not supported', '{% raw %}a{% endraw %}', /^x\.jinja: it uses what is not supported here: .*raw/i],
]

for (const [what, text, message] of refused) {
  test(`a template with ${what} is refused by name`, () => {
    assert.throws(
      () => compile(text),
      (error) =>
        error instanceof PetalsError && error.code === 'CHAT_TEMPLATE' && (assert.match(error.message, message), true),
    )
  })
}

test('what a template says against the messages is told in its own words', () => {
  const template = compile('{{ raise_exception("roles must alternate") }}')
  assert.throws(
    () => template.render(MESSAGES),
    /x\.jinja: it refuses these messages, or uses what is not supported here: roles must alternate/,
  )
  assert.throws(
    () => compile('{{ messages[0].content.splitlines() }}').render(MESSAGES),
    /not supported here \(\.splitlines\(\)\): /,
  )
})

test('a template that loops for ever or grows without end is stopped, and the next one is rendered', () => {
  for (const text of [
    '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}',
    '{{ range(1000000000)|length }}',
  ]) {
    const hostile = compileTemplate({ text, name: 'hostile.jinja', specialTokens: {}, stopStrings: [] })
    assert.throws(() => hostile.render([{ role: 'user', content: 'a' }]), {
      code: 'CHAT_TEMPLATE',
      message: /^hostile\.jinja: .*timed out.*--template/,
    })
  }
  const honest = compileTemplate({
    text: '{{ messages[0].content }}',
    name: 'own.jinja',
    specialTokens: {},
    stopStrings: [],
  })
  assert.equal(honest.render([{ role: 'user', content: 'a' }]), 'a')
})
