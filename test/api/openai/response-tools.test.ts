import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError } from '../../../src/api/errors/api-error.ts'
import { parseRequest } from '../../../src/api/openai/fields.ts'
import { RESPONSE_REQUEST } from '../../../src/api/openai/responses/request.ts'
import { toChat } from '../../../src/api/openai/responses/to-chat.ts'

const look = { type: 'function', name: 'look', parameters: { type: 'object' } }
const chatOf = (more: object) => toChat(parseRequest(RESPONSE_REQUEST, { input: 'Hi', ...more }))

test('functions are offered to the model', () => {
  const { tools, tool_choice } = chatOf({ tools: [look], tool_choice: { type: 'function', name: 'look' } })
  assert.deepEqual(
    tools?.map(({ function: { name } }) => name),
    ['look'],
  )
  assert.deepEqual(tool_choice, { type: 'function', function: { name: 'look' } })
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
