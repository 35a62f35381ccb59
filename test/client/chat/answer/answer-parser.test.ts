import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AnswerFormat, openAnswerParser } from '../../../../src/client/chat/answer/answer-parser.ts'
import type { AnswerPart, Reasoning, ToolFormat } from '../../../../src/client/chat/answer/parts.ts'
import { seededRandom } from '../../../../src/sampling/random.ts'

const SEED = 11
const CUTS = 30
const THINK: Reasoning = { open: '<think>', close: '</think>', begun: false }
const BEGUN: Reasoning = { ...THINK, begun: true }

/** An answer as it is in the end. */
interface Whole {
  readonly content: string
  readonly reasoning: string
  readonly calls: readonly { readonly name: string; readonly arguments: string }[]
}

function joined(parts: readonly AnswerPart[]): Whole {
  const calls: { name: string; arguments: string }[] = []
  let content = ''
  let reasoning = ''
  for (const part of parts) {
    if (part.kind === 'content') content += part.text
    else if (part.kind === 'reasoning') reasoning += part.text
    else if (part.kind === 'tool_call') {
      assert.equal(part.index, calls.length)
      calls.push({ name: part.name, arguments: '' })
    } else {
      assert.equal(part.index, calls.length - 1, 'arguments belong to the call that is open')
      calls[part.index]!.arguments += part.text
    }
  }
  return { content, reasoning, calls }
}

function parse(format: AnswerFormat, pieces: readonly string[]): AnswerPart[] {
  const parser = openAnswerParser(format)
  return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.finish()]
}

/** The text in pieces: whole, by characters, and cut at random. */
function* cuttings(text: string): Generator<string[]> {
  yield [text]
  yield [...text]
  const random = seededRandom(SEED)
  const characters = [...text]
  for (let i = 0; i < CUTS; i++) {
    const pieces: string[] = ['']
    for (const character of characters) {
      if (random() < 0.2) pieces.push('')
      pieces[pieces.length - 1] += character
    }
    yield pieces
  }
}

function check(format: AnswerFormat, text: string, expected: Partial<Whole>): void {
  for (const pieces of cuttings(text))
    assert.deepEqual(
      joined(parse(format, pieces)),
      { content: '', reasoning: '', calls: [], ...expected },
      JSON.stringify(pieces),
    )
}

const ARGS = '{"city": "São \\"P\\" 日本 😀}", "n": [1, {"x": null}]}'
const CALL = { name: 'look', arguments: ARGS }

describe('thoughts', () => {
  test('are told from the answer, with the blanks around them left out', () => {
    check({ reasoning: THINK }, '<think>\nHm.\n\n2 + 2.\n</think>\n\nFour.\n', {
      reasoning: 'Hm.\n\n2 + 2.',
      content: 'Four.\n',
    })
    check({ reasoning: BEGUN }, 'Hm.\n</think>\nFour', { reasoning: 'Hm.', content: 'Four' })
    check({ reasoning: BEGUN }, '<think>\nHm.</think>Four', { reasoning: 'Hm.', content: 'Four' })
  })

  test('may be none, or never end', () => {
    check({ reasoning: THINK }, 'Four <think>is</think>', { content: 'Four <think>is</think>' })
    check({ reasoning: THINK }, '<think>\n\n</think>\n\nFour', { content: 'Four' })
    check({ reasoning: THINK }, '  \n<thinking> so', { content: '  \n<thinking> so' })
    check({ reasoning: BEGUN }, 'on and on </thin', { reasoning: 'on and on </thin' })
    check({ reasoning: THINK }, '<think>a  b', { reasoning: 'a  b' })
    check({ reasoning: THINK }, '<thi', { content: '<thi' })
    check({}, '<think>a</think>b', { content: '<think>a</think>b' })
  })

  test('come before calls', () => {
    const text = `<think>\nI look.\n</think>\n\n<tool_call>\n{"name": "look", "arguments": ${ARGS}}\n</tool_call>`
    check({ reasoning: THINK, toolFormat: 'hermes' }, text, { reasoning: 'I look.', calls: [CALL] })
  })
})

/** Calls as the models of each format write them. */
const WRITTEN: Record<ToolFormat, readonly [text: string, expected: Partial<Whole>][]> = {
  hermes: [
    [`<tool_call>\n{"name": "look", "arguments": ${ARGS}}\n</tool_call>`, { calls: [CALL] }],
    [`I look.\n\n<tool_call>{"name":"look","arguments":${ARGS}}</tool_call>`, { content: 'I look.', calls: [CALL] }],
    [
      `<tool_call>\n{"name": "look", "arguments": ${ARGS}}\n</tool_call>\n` +
        '<tool_call>\n{"name": "go", "arguments": {}}\n</tool_call>\nDone.',
      { content: 'Done.', calls: [CALL, { name: 'go', arguments: '{}' }] },
    ],
    [`<tool_call>{"arguments": ${ARGS}, "name": "look"}</tool_call>`, { calls: [CALL] }],
    ['<tool_call>{"name": "go"}</tool_call>', { calls: [{ name: 'go', arguments: '{}' }] }],
    ['<tool_call>{"name": "go", "arguments": null}</tool_call>', { calls: [{ name: 'go', arguments: '{}' }] }],
    [
      '<tool_call>{"name": "go", "arguments": "{\\"a\\": 1}"}</tool_call>',
      { calls: [{ name: 'go', arguments: '{"a": 1}' }] },
    ],
    // Cut off, or without its end: what has come of it is kept.
    ['<tool_call>{"name": "go", "arguments": {"a": [1, 2', { calls: [{ name: 'go', arguments: '{"a": [1, 2' }] }],
    ['<tool_call>\n{"name": "go", "arguments": {}}', { calls: [{ name: 'go', arguments: '{}' }] }],
    // No calls at all.
    ['<tool_call>\nnot json\n</tool_call>', { content: '<tool_call>\nnot json\n</tool_call>' }],
    ['<tool_call>{"nam": 1}</tool_call> x', { content: '<tool_call>{"nam": 1}</tool_call> x' }],
    ['a <tool_call>{"name": 3, "arguments": {}}', { content: 'a <tool_call>{"name": 3, "arguments": {}}' }],
    ['<tool_call>{"name": "lo', { content: '<tool_call>{"name": "lo' }],
    ['a < b <tool', { content: 'a < b <tool' }],
    ['{"name": "look", "arguments": {}}', { content: '{"name": "look", "arguments": {}}' }],
    [
      '<tool_call>x<tool_call>{"name": "go", "arguments": {}}</tool_call>',
      { content: '<tool_call>x', calls: [{ name: 'go', arguments: '{}' }] },
    ],
  ],
  llama3: [
    [`{"name": "look", "parameters": ${ARGS}}`, { calls: [CALL] }],
    [`<|python_tag|>{"name": "look", "parameters": ${ARGS}}`, { calls: [CALL] }],
    [`\n{"type": "function", "name": "look", "parameters": ${ARGS}}`, { calls: [CALL] }],
    [
      `{"name": "look", "parameters": ${ARGS}}; {"name": "go", "parameters": {}}`,
      { calls: [CALL, { name: 'go', arguments: '{}' }] },
    ],
    ['{"name": "Ann", "age": 3}', { content: '{"name": "Ann", "age": 3}' }],
    ['{"name": "Ann"}', { content: '{"name": "Ann"}' }],
    ['{"a": [1]} is JSON', { content: '{"a": [1]} is JSON' }],
    ['I say {"name": "look", "parameters": {}}', { content: 'I say {"name": "look", "parameters": {}}' }],
    ['<|python_tag|>print(1)', { content: '<|python_tag|>print(1)' }],
    ['  plain', { content: '  plain' }],
  ],
  mistral: [
    [`[TOOL_CALLS] [{"name": "look", "arguments": ${ARGS}}]`, { calls: [CALL] }],
    [
      `[TOOL_CALLS][{"name": "look", "arguments": ${ARGS}, "id": "abcdefghi"}, {"name": "go", "arguments": {}}]`,
      { calls: [CALL, { name: 'go', arguments: '{}' }] },
    ],
    [`I look. [TOOL_CALLS] {"name": "look", "arguments": ${ARGS}}`, { content: 'I look.', calls: [CALL] }],
    ['[TOOL_CALLS] []', { content: '[TOOL_CALLS] []' }],
    ['[TOOL_CALLS] oh', { content: '[TOOL_CALLS] oh' }],
    ['[TOOL', { content: '[TOOL' }],
    ['[TOOL_CALLS] \n', { content: '[TOOL_CALLS] \n' }],
  ],
  'mistral-args': [
    [`[TOOL_CALLS]look[ARGS]${ARGS}`, { calls: [CALL] }],
    [`[TOOL_CALLS]look[ARGS]${ARGS}[TOOL_CALLS]go[ARGS]{}`, { calls: [CALL, { name: 'go', arguments: '{}' }] }],
    [`[TOOL_CALLS]look[CALL_ID]abc123def[ARGS]${ARGS}`, { calls: [CALL] }],
    [`So: [TOOL_CALLS]look${ARGS}`, { content: 'So:', calls: [CALL] }],
    ['[TOOL_CALLS]look[ARGS]{"a": 1', { calls: [{ name: 'look', arguments: '{"a": 1' }] }],
    ['[TOOL_CALLS]look[ARG', { content: '[TOOL_CALLS]look[ARG' }],
    ['[TOOL_CALLS]! [ARGS]{}', { content: '[TOOL_CALLS]! [ARGS]{}' }],
  ],
}

for (const [toolFormat, cases] of Object.entries(WRITTEN)) {
  test(`calls of ${toolFormat} are found however the text is cut, and nothing else is (seed ${SEED})`, () => {
    for (const [text, expected] of cases) check({ toolFormat: toolFormat as ToolFormat }, text, expected)
  })
}

test('arguments come as they are written, in whole characters', () => {
  const parser = openAnswerParser({ toolFormat: 'hermes' })
  const parts = [...`<tool_call>{"name": "look", "arguments": ${ARGS}}</tool_call>`].map((piece) => parser.push(piece))
  const withArguments = parts.filter((each) => each.some(({ kind }) => kind === 'tool_arguments'))
  assert.equal(withArguments.length, [...ARGS].length)
  for (const part of parts.flat()) if ('text' in part) assert.ok(part.text.isWellFormed())
})

function idsIn(format: ToolFormat, text: string): string[] {
  return parse({ toolFormat: format }, [text]).flatMap((part) => (part.kind === 'tool_call' ? [part.id] : []))
}

test('each call has an id of its own, in the form that templates ask for', () => {
  const two = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'
  const [a, b] = idsIn('mistral', `[TOOL_CALLS] ${two}`)
  assert.match(a!, /^[a-z0-9]{9}$/)
  assert.notEqual(a, b)
  assert.match(idsIn('hermes', '<tool_call>{"name": "a"}</tool_call>')[0]!, /^call_[a-z0-9]{24}$/)
})

test('content is shown as soon as it can be no part of a call', () => {
  const parser = openAnswerParser({ toolFormat: 'hermes', reasoning: THINK })
  const shown = (text: string): string => joined(parser.push(text)).content
  assert.equal(shown('Hello'), 'Hello')
  assert.equal(shown(' '), '')
  assert.equal(shown('a <'), ' a')
  assert.equal(shown('b'), ' <b')
})
