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

test('tools, tool calls and further variables reach the template', () => {
  const template = compile(
    '{% for tool in tools or [] %}[{{ tool.function.name }}]{% endfor %}{{ enable_thinking }}' +
      '{% for m in messages %}{{ m.role }}' +
      '{% for c in m.tool_calls %}({{ c.function.arguments.city }}){% endfor %}{% endfor %}',
  )
  const messages = [
    { role: 'assistant', content: null, tool_calls: [{ function: { name: 'weather', arguments: { city: 'Rome' } } }] },
    { role: 'tool', content: 'sunny' },
  ]
  const tools = [{ type: 'function', function: { name: 'weather' } }]
  assert.equal(
    template.render(messages, { tools, variables: { enable_thinking: false } }),
    '[weather]Falseassistant(Rome)tool',
  )
  assert.equal(template.render(messages), 'assistant(Rome)tool')
})

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
    'a statement that needs other templates',
    '{% include "x" %}',
    /^x\.jinja: it uses what is not supported here: \{% include %\}; another can be chosen with --template$/,
  ],
  ['an error of syntax', '{% for m in messages %}', /^x\.jinja: it cannot be rendered: TemplateSyntaxError: .*endfor/],
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

test('what a template says against the messages is told in its own words, what Python would say in its', () => {
  assert.throws(
    () => compile('{{ raise_exception("roles must alternate") }}').render(MESSAGES),
    /x\.jinja: it refuses these messages: roles must alternate; another/,
  )
  assert.throws(
    () => compile('{{ messages[0].content + 1 }}').render(MESSAGES),
    /x\.jinja: it cannot be rendered: TypeError: unsupported operand type\(s\) for \+: 'str' and 'int'/,
  )
  assert.throws(
    () => compile('{{ messages[0].content.swapcase() }}').render(MESSAGES),
    /not supported here: str\.swapcase/,
  )
})

test('a template finds tools and documents that are None, as transformers hands them on', () => {
  const text = "{% if tools is not none %}tools{% endif %}{{ documents is none }}{{ 'xxaxx'.strip('x') }}"
  assert.equal(compile(text).render(MESSAGES), 'Truea')
})
