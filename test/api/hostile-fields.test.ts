import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestApi, post, startTestApi } from './kit.ts'

let api: TestApi
before(async () => {
  api = await startTestApi()
})
after(() => api.stop())

interface Told {
  readonly error: { readonly message: string; readonly param?: string | null }
}

const messages = [{ role: 'user', content: 'Hi' }]
const CYCLE = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }
const fn = (name: string) => ({ type: 'function', function: { name } })

/** A result of a tool, and a block that the assistant said, in Anthropic's form. */
const result = (fields: object) => ({ messages: [{ role: 'user', content: [{ type: 'tool_result', ...fields }] }] })
const said = (block: object) => ({ messages: [...messages, { role: 'assistant', content: [block] }] })

/** Sends bodies that each have one fault, and looks for the field that the answer names. */
async function refused(path: string, usual: object, cases: readonly (readonly [object, string])[]): Promise<void> {
  for (const [fields, name] of cases) {
    const { status, json } = await post(api.url + path, { model: 'demo', ...usual, ...fields })
    const { message, param } = (json as Told).error
    assert.equal(status, 400, `${JSON.stringify(fields)}: ${message}`)
    if (path !== '/v1/messages') assert.equal(param, name, message)
    else assert.ok(message.startsWith(`${name}:`), message)
  }
}

test('chats: two ways to say one thing, of which one would be passed over', () =>
  refused('/v1/chat/completions', { messages, max_tokens: 2 }, [
    [{ max_completion_tokens: 3 }, 'max_tokens'],
    [{ tools: [fn('a')], functions: [{ name: 'b' }] }, 'functions'],
    [{ tools: [fn('a')], tool_choice: 'none', function_call: 'auto' }, 'function_call'],
  ]))

test('completions: constraints that cannot be, and ids that are none', async () => {
  await refused('/v1/completions', { prompt: 'Hi', max_tokens: 2 }, [
    [{ guided_json: CYCLE }, 'guided_json'],
    [{ guided_regex: '(' }, 'guided_regex'],
    [{ prompt: [1, -1] }, 'prompt'],
    [{ prompt_embeds: 'AAAA' }, 'prompt_embeds'],
  ])
  const { json } = await post(`${api.url}/v1/completions`, { prompt: [1, -1] })
  assert.match((json as Told).error.message, /-1 is no token id/)
})

test('responses: what is wrong has the name that it has there', () =>
  refused('/v1/responses', { input: 'Hi', max_output_tokens: 2 }, [
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input[0].role'],
    [{ input: [{ role: 'user' }] }, 'input[0].content'],
    [{ input: [{ type: 'function_call', call_id: 'a' }] }, 'input[0].name'],
    [{ input: [{ type: 'function_call_output', call_id: 'a' }] }, 'input[0].output'],
    [{ input: 'word '.repeat(3000) }, 'input'],
    [{ tools: [{ type: 'function', name: 'a b' }] }, 'tools[0].name'],
    [{ tool_choice: { type: 'function' } }, 'tool_choice.name'],
    [{ text: { format: { type: 'json_schema', name: 'x' } } }, 'text.format.schema'],
    [{ text: { format: { type: 'json_schema', name: 'x', schema: CYCLE } } }, 'text.format'],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
  ]))

test("Anthropic's messages: blocks that lack something, and what only Anthropic does", () => {
  return refused('/v1/messages', { messages, max_tokens: 2 }, [
    [result({ content: 'x' }), 'messages[0].content[0].tool_use_id'],
    [result({ tool_use_id: 'a', content: [{ type: 5 }] }), 'messages[0].content[0].content[0].type'],
    [said({ type: 'tool_use', id: {}, name: 'a', input: {} }), 'messages[1].content[0].id'],
    [said({ type: 'tool_use', id: 'a', name: 'a', input: 'x' }), 'messages[1].content[0].input'],
    [said({ type: 'thinking', thinking: 5 }), 'messages[1].content[0].thinking'],
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    [{ tools: [{ name: 'a b', input_schema: {} }] }, 'tools[0].name'],
    [{ mcp_servers: [{ type: 'url', url: 'http://a' }] }, 'mcp_servers'],
    [{ thinking: { type: 'x' } }, 'thinking.type'],
    [{ output_config: { format: { type: 'json_schema' } } }, 'output_config.format.schema'],
  ])
})

test("Anthropic's form of a JSON schema is enforced", async () => {
  const schema = { enum: ['north', 'south'] }
  for (const asked of [
    { output_config: { format: { type: 'json_schema', schema } } },
    { output_format: { type: 'json_schema', schema } },
  ]) {
    const { status, json } = await post(`${api.url}/v1/messages`, { messages, max_tokens: 20, ...asked })
    assert.equal(status, 200)
    const [block] = (json as { content: { text: string }[] }).content
    assert.ok(schema.enum.includes(JSON.parse(block!.text) as string), block!.text)
  }
})

test('texts of megabytes are not counted', async () => {
  const body = { model: 'demo', messages: [{ role: 'user', content: 'word '.repeat(700_000) }] }
  assert.equal((await post(`${api.url}/v1/messages/count_tokens`, body)).status, 400)
  assert.equal((await post(`${api.url}/tokenize`, { prompt: 'a', messages: null })).status, 200)
})

test('a message that quotes what was asked stays short', async () => {
  const { status, json } = await post(`${api.url}/v1/chat/completions`, { messages, guided_regex: '('.repeat(50_000) })
  assert.equal(status, 400)
  assert.ok((json as Told).error.message.length < 1100)
  const unknown = await post(`${api.url}/v1/chat/completions`, { messages, model: 'x'.repeat(100_000) })
  assert.match((unknown.json as Told).error.message, /there are: demo$/)
})
