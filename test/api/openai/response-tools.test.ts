import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError } from '../../../src/api/errors/api-error.ts'
import { parseRequest } from '../../../src/api/openai/fields.ts'
import { RESPONSE_REQUEST } from '../../../src/api/openai/responses/request.ts'
import { ResponseOutput } from '../../../src/api/openai/responses/output.ts'
import { namesOf, toChat } from '../../../src/api/openai/responses/to-chat.ts'
import { callNames } from '../../../src/api/openai/responses/tools.ts'
import { inFieldNames } from '../../../src/api/errors/field-names.ts'

const look = { type: 'function', name: 'look', parameters: { type: 'object' } }
const chatOf = (more: object) => toChat(parseRequest(RESPONSE_REQUEST, { input: 'Hi', ...more }))

/** A call as the model begins it. */
const call = (name: string, index: number) => ({ kind: 'tool_call', index, id: `call_${index}`, name }) as const

test('functions are offered to the model', () => {
  const { tools, tool_choice } = chatOf({ tools: [look], tool_choice: { type: 'function', name: 'look' } })
  assert.deepEqual(
    tools?.map(({ function: { name } }) => name),
    ['look'],
  )
  assert.deepEqual(tool_choice, { type: 'function', function: { name: 'look' } })
})

test('functions of a namespace go by both names, before and behind the model', () => {
  const group = { type: 'namespace', name: 'agents', description: 'Agents', tools: [{ ...look, name: 'close' }, look] }
  const body = {
    tools: [look, group],
    tool_choice: { type: 'function', namespace: 'agents', name: 'close' },
    input: [
      { role: 'user', content: 'Hi' },
      { type: 'function_call', call_id: 'a', namespace: 'agents', name: 'close', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: 'done' },
    ],
  }
  const { tools, tool_choice, messages } = chatOf(body)
  assert.deepEqual(
    tools?.map(({ function: { name } }) => name),
    ['look', 'agents.close', 'agents.look'],
  )
  assert.deepEqual(tool_choice, { type: 'function', function: { name: 'agents.close' } })
  assert.equal(messages[1]!.tool_calls![0]!.function.name, 'agents.close')

  const nameOf = callNames(parseRequest(RESPONSE_REQUEST, body))
  const output = new ResponseOutput(nameOf)
  output.add(call('agents.close', 0))
  output.add(call('look', 1))
  output.end()
  assert.deepEqual(
    output.items.map(({ name, namespace }) => [namespace, name]),
    [
      ['agents', 'close'],
      [undefined, 'look'],
    ],
  )
})

test('what is wrong with a tool is told where it is', async () => {
  const group = { type: 'namespace', name: 'agents', tools: [look, { ...look, name: 'a b' }] }
  const body = parseRequest(RESPONSE_REQUEST, { input: 'Hi', tools: [look, group] })
  await assert.rejects(
    inFieldNames(namesOf(body), async () => toChat(body)),
    ({ details }: ApiError) => details.param === 'tools[1].tools[1].name',
  )
  assert.throws(
    () => chatOf({ tools: [{ ...group, tools: [{ type: 'custom', name: 'x' }] }] }),
    ({ details }: ApiError) => details.param === 'tools[0].tools[0].type',
  )
})

test('tools that only OpenAI runs are refused by name', () => {
  const cases: [object, string, string][] = [
    [{ tools: [look, { type: 'web_search' }] }, 'tools[1].type', '"web_search"'],
    [{ tools: [{ type: 'mcp', server_label: 'x' }] }, 'tools[0].type', '"mcp"'],
    [{ tools: [look], tool_choice: { type: 'file_search' } }, 'tool_choice', '"file_search"'],
  ]
  for (const [more, param, name] of cases)
    assert.throws(
      () => chatOf(more),
      (error: ApiError) =>
        error.details.status === 400 && error.details.param === param && error.message.includes(name),
    )
})
