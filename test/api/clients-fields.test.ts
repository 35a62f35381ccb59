import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { type TestApi, post, startTestApi } from './kit.ts'

let api: TestApi
before(async () => {
  api = await startTestApi()
})
after(() => api.stop())

const messages = [{ role: 'user', content: 'Hi' }]
const fn = { name: 'look', description: 'Looks', parameters: { type: 'object', properties: {} } }

/** Bodies as clients send them when nobody has told them anything else. */
const BODIES: readonly (readonly [string, string, object])[] = [
  [
    'LangChain',
    '/v1/chat/completions',
    {
      messages,
      n: 1,
      temperature: 0.7,
      max_completion_tokens: 4,
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: { ...fn, strict: true } }],
      tool_choice: 'auto',
      parallel_tool_calls: false,
    },
  ],
  [
    "everything of OpenAI's that changes no answer",
    '/v1/chat/completions',
    {
      messages,
      max_completion_tokens: 4,
      user: 'u',
      store: true,
      metadata: { a: 'b' },
      service_tier: 'auto',
      reasoning_effort: 'low',
      verbosity: 'low',
      prompt_cache_key: 'k',
      prompt_cache_retention: '24h',
      safety_identifier: 's',
      modalities: ['text'],
      audio: null,
      prediction: { type: 'content', content: 'Hello' },
      logit_bias: {},
      best_of: 1,
      echo: false,
      response_format: { type: 'text' },
    },
  ],
  [
    "neutral values of llama.cpp's and vLLM's fields",
    '/v1/chat/completions',
    {
      messages,
      max_tokens: 4,
      repeat_penalty: 1,
      mirostat: 0,
      dry_multiplier: 0,
      xtc_probability: 0,
      cache_prompt: true,
      top_k: -1,
      min_p: 0,
      skip_special_tokens: true,
      continue_final_message: false,
    },
  ],
  [
    'Codex',
    '/v1/responses',
    {
      instructions: 'You are a coding agent.',
      input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }],
      tools: [{ type: 'function', ...fn, strict: false }],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      reasoning: { effort: 'medium', summary: 'auto' },
      store: false,
      stream: true,
      include: ['reasoning.encrypted_content'],
      truncation: 'auto',
      max_tool_calls: 5,
      service_tier: 'auto',
      prompt_cache_key: 'k',
      text: { verbosity: 'low' },
      client_metadata: { a: 'b' },
      max_output_tokens: 4,
    },
  ],
  [
    'Claude Code',
    '/v1/messages?beta=true',
    {
      max_tokens: 4,
      system: [
        { type: 'text', text: 'You are an agent.', cache_control: { type: 'ephemeral' } },
        { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } },
      ],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi', cache_control: { type: 'ephemeral' } }] }],
      tools: [{ name: 'look', input_schema: fn.parameters, cache_control: { type: 'ephemeral' } }],
      tool_choice: { type: 'auto', disable_parallel_tool_use: false },
      metadata: { user_id: 'u' },
      thinking: { type: 'enabled', budget_tokens: 1024 },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      output_config: { effort: 'high' },
      service_tier: 'auto',
      stream: true,
    },
  ],
]

describe('bodies that clients send by themselves are answered', () => {
  for (const [name, path, body] of BODIES)
    test(name, async () => {
      const response = await fetch(api.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'anthropic-beta': 'claude-code-20250219,oauth-2025-04-20' },
        body: JSON.stringify({ model: 'demo', ...body }),
      })
      const text = await response.text()
      assert.equal(response.status, 200, text)
      assert.ok(!text.includes('"error":{'), text)
    })
})

/** Fields that would change an answer, and which the refusal must name. */
const REFUSED: readonly (readonly [string, object, readonly (readonly [object, string])[]])[] = [
  [
    '/v1/chat/completions',
    { messages, max_tokens: 2 },
    [
      [{ audio: { voice: 'alloy', format: 'wav' } }, 'audio'],
      [{ echo: true }, 'echo'],
      [{ suffix: 'x' }, 'suffix'],
      [{ best_of: 2 }, 'best_of'],
      [{ stop_sequences: ['x'] }, 'stop_sequences'],
      [{ prompt_logprobs: 1 }, 'prompt_logprobs'],
      [{ enable_thinking: false }, 'enable_thinking'],
      [{ thinking: { type: 'disabled' } }, 'thinking'],
      [{ repeat_penalty: 1.1 }, 'repeat_penalty'],
      [{ json_schema: {} }, 'json_schema'],
      [{ max_output_tokens: 5 }, 'max_output_tokens'],
      [{ continue_final_message: true }, 'continue_final_message'],
    ],
  ],
  [
    '/v1/responses',
    { input: 'Hi', max_output_tokens: 2 },
    [
      [{ include: ['message.output_text.logprobs'] }, 'include'],
      [{ truncation: 'x' }, 'truncation'],
      [{ max_tool_calls: 0 }, 'max_tool_calls'],
      [{ context_management: [{ type: 'compaction' }] }, 'context_management'],
      [{ max_tokens: 5 }, 'max_tokens'],
      [{ response_format: { type: 'json_object' } }, 'response_format'],
      [{ reasoning_effort: 'low' }, 'reasoning_effort'],
      [{ n: 2 }, 'n'],
      [{ top_k: -2 }, 'top_k'],
    ],
  ],
  [
    '/v1/messages',
    { messages, max_tokens: 2 },
    [
      [{ container: 'c' }, 'container'],
      [{ context_management: { edits: [{ type: 'compact_20260112' }] } }, 'context_management.edits[0].type'],
      [{ messages: [...messages, { role: 'assistant', content: ' ' }] }, 'messages'],
    ],
  ],
  ['/v1/embeddings', { input: 'Hi' }, [[{ truncate_prompt_tokens: 5 }, 'truncate_prompt_tokens']]],
  [
    '/tokenize',
    {},
    [
      [{ prompt: 'a', content: 'b' }, 'content'],
      [{ messages, prompt: 'a' }, 'prompt'],
      [{ messages, return_token_strs: 'x' }, 'return_token_strs'],
    ],
  ],
]

test('what would change an answer and is not done is refused by name', async () => {
  for (const [path, usual, cases] of REFUSED)
    for (const [fields, name] of cases) {
      const { status, json } = await post(api.url + path, { model: 'demo', ...usual, ...fields })
      const { message } = (json as { error: { message: string } }).error
      assert.equal(status, 400, `${path} ${JSON.stringify(fields)}: ${message}`)
      assert.ok(message.startsWith(`${name}:`), `${path} ${JSON.stringify(fields)}: ${message}`)
    }
})

test('a response takes what vLLM takes for one beside what OpenAI has', async () => {
  const openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const ask = (fields: object) =>
    openai.responses.create({ model: 'demo', input: 'Of the people', max_output_tokens: 12, ...fields } as never)
  const [first, again] = [await ask({ seed: 5 }), await ask({ seed: 5 })] as OpenAI.Responses.Response[]
  assert.equal(first!.output_text, again!.output_text)
  const only = (await ask({ top_k: 1, ignore_eos: true })) as OpenAI.Responses.Response
  const greedy = (await ask({ temperature: 0, ignore_eos: true })) as OpenAI.Responses.Response
  assert.equal(only.output_text, greedy.output_text)
})

test("tokens of a response's input are counted without any being computed", async () => {
  const openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const { input_tokens: counted } = await openai.responses.inputTokens.count({ model: 'demo', input: 'Of the people' })
  const { usage } = await openai.responses.create({ model: 'demo', input: 'Of the people', max_output_tokens: 1 })
  assert.equal(counted, usage!.input_tokens)
})

const client = () => new Anthropic({ baseURL: api.url, apiKey: 'none', maxRetries: 0 })

describe("Anthropic's client", () => {
  test('lists models, page by page until there are no more', async () => {
    const found = []
    for await (const model of client().models.list()) found.push(model)
    assert.deepEqual(
      found.map(({ id, type, display_name: name }) => [id, type, name]),
      [['demo', 'model', 'demo']],
    )
    assert.ok(Number.isFinite(Date.parse(found[0]!.created_at)))
    assert.equal((await client().models.retrieve('demo')).id, 'demo')
  })

  test('finds the id of a request, of an error too', async () => {
    const asked = { model: 'demo', max_tokens: 2, messages: [{ role: 'user' as const, content: 'Hi' }] }
    const message = await client().messages.create(asked)
    assert.match(message._request_id!, /^[\w-]{36}$/)
    await assert.rejects(client().messages.create({ ...asked, model: 'x' }), ({ requestID }: { requestID?: string }) =>
      /^[\w-]{36}$/.test(requestID ?? ''),
    )
  })

  test('is told that nothing of a conversation was left out', async () => {
    const message = await client().beta.messages.create({
      model: 'demo',
      max_tokens: 2,
      messages: [{ role: 'user', content: 'Hi' }],
      context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
    })
    assert.deepEqual(message.context_management, { applied_edits: [] })
  })
})
