import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { openAnswerParser } from '../../../../src/client/chat/answer/answer-parser.ts'
import { findReasoning, findToolFormat, specialMarks } from '../../../../src/client/chat/answer/find-formats.ts'
import type { Reasoning, ToolFormat } from '../../../../src/client/chat/answer/parts.ts'
import { compileTemplate } from '../../../../src/client/chat/jinja-template.ts'

const read = (name: string): string =>
  readFileSync(new URL(`../template/models/${name}.jinja`, import.meta.url), 'utf8')

const TOOL_FORMATS: Readonly<Record<string, ToolFormat | undefined>> = {
  'qwen-2.5': 'hermes',
  'qwen-3': 'hermes',
  'llama-3.1-tools': 'llama3',
  mistral: 'mistral',
  'deepseek-r1': undefined,
  'gemma-3': undefined,
  'phi-3': undefined,
}

const CALLS = [
  {
    id: 'abcdef123',
    type: 'function',
    function: { name: 'look', arguments: { where: 'São "P"', far: [1, { x: null }] } },
  },
]
const TOOLS = [
  {
    type: 'function',
    function: { name: 'look', description: 'Looks.', parameters: { type: 'object', properties: {} } },
  },
]
const USER = { role: 'user', content: 'Look south.' }

const compile = (name: string) =>
  compileTemplate({
    text: read(name),
    name,
    specialTokens: { bos_token: '<s>', eos_token: '</s>' },
    stopStrings: [],
  })

for (const [name, expected] of Object.entries(TOOL_FORMATS)) {
  test(`the calls of ${name} are written as ${expected ?? 'nothing that is known'}`, () => {
    assert.equal(findToolFormat(read(name)), expected)
  })
}

for (const name of ['qwen-2.5', 'llama-3.1-tools', 'mistral']) {
  test(`a call that the template of ${name} prints is found again`, () => {
    const template = compile(name)
    const prompt = template.render([USER], { tools: TOOLS })
    const whole = template.render([USER, { role: 'assistant', content: null, tool_calls: CALLS }], {
      tools: TOOLS,
      addGenerationPrompt: false,
    })
    const start = whole.indexOf('Look south.')
    const answer = whole.slice(start).replace(prompt.slice(prompt.indexOf('Look south.')), '')
    const parser = openAnswerParser({ toolFormat: findToolFormat(read(name)) })
    const parts = [...parser.push(answer), ...parser.finish()]
    assert.deepEqual(
      parts.flatMap((part) => (part.kind === 'tool_call' ? [part.name] : [])),
      ['look'],
    )
    const pieces = parts.map((part) => (part.kind === 'tool_arguments' ? part.text : ''))
    assert.deepEqual(JSON.parse(pieces.join('')), CALLS[0]!.function.arguments)
  })
}

function reasoningOf(name: string, variables = {}): Reasoning | undefined {
  return findReasoning(read(name), compile(name).render([USER], { variables }))
}

test('thoughts are marked as the template says, and may have begun in the prompt', () => {
  const tags = { open: '<think>', close: '</think>' }
  assert.deepEqual(reasoningOf('deepseek-r1'), { ...tags, begun: true })
  assert.deepEqual(reasoningOf('qwen-3'), { ...tags, begun: false })
  assert.deepEqual(reasoningOf('qwen-3', { enable_thinking: false }), { ...tags, begun: false })
  assert.equal(reasoningOf('qwen-2.5'), undefined)
  assert.equal(reasoningOf('gemma-2'), undefined)
})

test('marks that may be special tokens are named', () => {
  assert.deepEqual(specialMarks('mistral', undefined), ['[TOOL_CALLS]'])
  assert.deepEqual(specialMarks('hermes', { open: '<a>', close: '</a>', begun: false }), ['<a>', '</a>'])
  assert.deepEqual(specialMarks(undefined, undefined), [])
})

test('calls within the same tags in other forms are not taken apart', () => {
  assert.equal(findToolFormat('<tool_call>\n<function=f>'), undefined)
  assert.equal(findToolFormat('<tool_call>{name}<arg_key>'), undefined)
  assert.equal(findToolFormat('[TOOL_CALLS]{{ name }}[ARGS]{{ arguments }}'), 'mistral-args')
})
