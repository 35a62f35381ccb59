import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { openAnswerParser } from '../../../../src/client/chat/answer/answer-parser.ts'
import type { AnswerPart, Reasoning, ToolFormat } from '../../../../src/client/chat/answer/parts.ts'
import {
  type ToolChoice,
  type ToolFunction,
  behindReasoning,
  toolCallConstraint,
} from '../../../../src/client/chat/answer/tool-constraint.ts'
import { isConstraint } from '../../../../src/sampling/grammar/constraint.ts'
import { accepts, writeRandomly } from '../../../sampling/grammar/support.ts'

const LOOK: ToolFunction = {
  name: 'look',
  parameters: {
    type: 'object',
    properties: { where: { enum: ['north', 'south'] }, far: { type: 'integer', minimum: 0 } },
    required: ['where'],
  },
}
const STOP: ToolFunction = { name: 'stop' }
const TOOLS = [LOOK, STOP]
const VALIDATORS = new Map([
  ['look', new Ajv2020().compile({ ...LOOK.parameters, additionalProperties: false })],
  ['stop', new Ajv2020().compile({ type: 'object', additionalProperties: false })],
])
const FORMATS: readonly ToolFormat[] = ['hermes', 'llama3', 'mistral', 'mistral-args']

const constraintFor = (format: ToolFormat, choice: ToolChoice, parallel: boolean) => {
  const constraint = toolCallConstraint(format, TOOLS, choice, parallel)!
  assert.ok(isConstraint(constraint))
  return constraint
}

const ARGS = '{"where": "north"}'
const TWO_CALLS: Readonly<Record<ToolFormat, string>> = {
  hermes:
    '<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>\n' +
    `<tool_call>\n{"name": "look", "arguments": ${ARGS}}\n</tool_call>`,
  llama3: `{"name": "stop", "parameters": {}}; {"name": "look", "parameters": ${ARGS}}`,
  mistral: `[TOOL_CALLS] [{"name": "stop", "arguments": {}}, {"name": "look", "arguments": ${ARGS}}]`,
  'mistral-args': `[TOOL_CALLS]stop[ARGS]{}[TOOL_CALLS]look[ARGS]${ARGS}`,
}

/** The calls of an answer; fails where they are not what their tools ask for. */
function callsIn(format: ToolFormat, text: string): { readonly names: string[]; readonly content: string } {
  const parser = openAnswerParser({ toolFormat: format })
  const parts: AnswerPart[] = [...parser.push(text), ...parser.finish()]
  const names = parts.flatMap((part) => (part.kind === 'tool_call' ? [part.name] : []))
  for (const [index, name] of names.entries()) {
    const pieces = parts.map((part) => (part.kind === 'tool_arguments' && part.index === index ? part.text : ''))
    assert.ok(VALIDATORS.get(name)!(JSON.parse(pieces.join(''))), text)
  }
  return { names, content: parts.map((part) => (part.kind === 'content' ? part.text : '')).join('') }
}

for (const format of FORMATS) {
  describe(`calls of ${format}`, () => {
    test('that are required are all that is written, and right', () => {
      for (let seed = 0; seed < 30; seed++) {
        const text = writeRandomly(constraintFor(format, 'required', true), seed)!
        const { names, content } = callsIn(format, text)
        assert.equal(content, '', text)
        assert.ok(names.length > 0, text)
      }
    })

    test('may be several only where that is wanted', () => {
      const two = TWO_CALLS[format]
      assert.deepEqual(callsIn(format, two).names, ['stop', 'look'])
      assert.ok(accepts(constraintFor(format, 'required', true), two))
      assert.ok(!accepts(constraintFor(format, 'required', false), two))
    })

    test('may be one of one tool only', () => {
      for (let seed = 0; seed < 15; seed++) {
        const text = writeRandomly(constraintFor(format, { name: 'stop' }, false), seed)!
        assert.deepEqual(callsIn(format, text), { names: ['stop'], content: '' })
      }
    })

    test('are right once they have begun in free text', () => {
      const call = {
        hermes: '<tool_call>\n{"name": "look", "arguments": {"where": "north"}}\n</tool_call>',
        llama3: '{"name": "look", "parameters": {"where": "north"}}',
        mistral: '[TOOL_CALLS] [{"name": "look", "arguments": {"where": "north"}}]',
        'mistral-args': '[TOOL_CALLS]look[ARGS]{"where": "north"}',
      }[format]
      const auto = constraintFor(format, 'auto', true)
      assert.ok(accepts(auto, call))
      assert.ok(accepts(auto, 'I see é 日本 < 3, "so" {"name": there it is.'))
      assert.ok(!accepts(auto, call.replace('north', 'up')))
      assert.ok(!accepts(auto, call.replace('look', 'jump')))
      if (format !== 'llama3') assert.ok(accepts(auto, `I look.\n${call}`))
      if (format !== 'llama3') assert.ok(!accepts(auto, `I look.\n${call.slice(0, -8)}`))
    })

    test('are not asked for where no tool may be called', () => {
      assert.equal(toolCallConstraint(format, TOOLS, 'none', true), undefined)
      assert.equal(toolCallConstraint(format, [], 'required', true), undefined)
      assert.equal(toolCallConstraint(format, TOOLS, { name: 'jump' }, true), undefined)
    })
  })
}

test('thoughts come before what is asked for, marked by the model or by the prompt', () => {
  const yes = { kind: 'choice', texts: ['yes'] } as const
  const tags = { open: '<think>', close: '</think>' }
  const begun: Reasoning = { ...tags, begun: true }
  const free: Reasoning = { ...tags, begun: false }
  assert.ok(accepts(behindReasoning(yes, begun), 'Well, yes or no? </thin </think>\n\nyes'))
  assert.ok(!accepts(behindReasoning(yes, begun), 'yes'))
  assert.ok(!accepts(behindReasoning(yes, begun), 'Well.</think>no'))
  assert.ok(accepts(behindReasoning(yes, free), '<think>no</think>yes'))
  assert.ok(accepts(behindReasoning(yes, free), 'yes'))
  assert.ok(!accepts(behindReasoning(yes, free), 'no</think>yes'))
  assert.equal(behindReasoning(yes, undefined), yes)
})
