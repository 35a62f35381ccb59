import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { ServedModel } from '../../src/api/models/served-model.ts'
import { type TestApi, post, startTestApi } from './kit.ts'

/** A template as models have it that were trained to call tools. */
const TEMPLATE = `{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>
{% endif %}{% for message in messages %}{{ message.role }}: {{ message.content }}\
{% for call in message.tool_calls or [] %}<tool_call>
{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
</tool_call>{% endfor %}
{% endfor %}assistant: `

/** The same of a model that thinks before it answers. */
const THINKING = `${TEMPLATE}{% if enable_thinking %}<think>{% endif %}{# </think> #}`

const PARAMETERS = {
  type: 'object',
  properties: {
    city: { type: 'string', enum: ['Rome', 'Paris', 'Oslo'] },
    days: { type: 'integer', minimum: 1, maximum: 9 },
  },
  required: ['city', 'days'],
  additionalProperties: false,
} as const

const WEATHER = {
  type: 'function' as const,
  function: { name: 'weather', description: 'Forecast', parameters: PARAMETERS as Record<string, unknown> },
}
const TIME = { type: 'function' as const, function: { name: 'time' } }
const messages = [{ role: 'user' as const, content: 'What is the weather?' }]

let api: TestApi
let openai: OpenAI
let anthropic: Anthropic
let folder: string
let thinker: ServedModel
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-tools-'))
  const template = join(folder, 'template.jinja')
  await writeFile(template, TEMPLATE)
  api = await startTestApi({}, { template })
  const thinking = join(folder, 'thinking.jinja')
  await writeFile(thinking, THINKING)
  thinker = await ServedModel.open(api.model, 'thinker', { template: thinking, promptCacheTokens: 0 })
  api.server.catalog.add(thinker)
  openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: api.url, apiKey: 'none', maxRetries: 0 })
})
after(async () => {
  await thinker.close()
  await api.stop()
  await rm(folder, { recursive: true })
})

/** What a forecast is asked for, checked. */
function checkForecast(value: unknown): void {
  const { city, days, ...more } = value as { city: string; days: number }
  assert.ok(['Rome', 'Paris', 'Oslo'].includes(city), city)
  assert.ok(Number.isInteger(days) && days >= 1 && days <= 9, String(days))
  assert.deepEqual(more, {})
}

const body = { model: 'demo', messages, temperature: 1, seed: 1, max_tokens: 100, parallel_tool_calls: false }

const renderedPrompt = async (fields: object): Promise<string> =>
  ((await post(`${api.url}/apply-template`, { ...body, ...fields })).json as { prompt: string }).prompt

const completed = async (fields: object): Promise<string> => {
  const { json } = await post(`${api.url}/v1/completions`, { ...body, prompt: 'A', messages: undefined, ...fields })
  return (json as { choices: { text: string }[] }).choices[0]!.text
}

const refused = async (fields: object): Promise<unknown[]> => {
  const { status, json } = await post(`${api.url}/v1/chat/completions`, { ...body, ...fields })
  const { error } = json as { error: { param: string; message: string } }
  return [status, error.param, error.message]
}

describe('chat', () => {
  test('a tool that must be called is called, with arguments that fulfil its schema', async () => {
    for (const seed of [1, 2, 3]) {
      const { choices } = await openai.chat.completions.create({
        ...body,
        seed,
        tools: [WEATHER],
        tool_choice: 'required',
      })
      const [choice] = choices
      assert.equal(choice!.finish_reason, 'tool_calls')
      assert.equal(choice!.message.content, null)
      const [call, ...others] = choice!.message.tool_calls!
      assert.deepEqual(others, [])
      assert.ok(call!.type === 'function' && call!.id !== '')
      assert.equal(call!.function.name, 'weather')
      checkForecast(JSON.parse(call!.function.arguments))
    }
  })

  test('of several tools the one that is named is called, streamed in pieces', async () => {
    const stream = await openai.chat.completions.create({
      ...body,
      tools: [TIME, WEATHER],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      stream: true,
    })
    let name = ''
    let args = ''
    let pieces = 0
    const ids = new Set<string>()
    let reason: string | null = null
    for await (const { choices } of stream) {
      for (const call of choices[0]!.delta.tool_calls ?? []) {
        assert.equal(call.index, 0)
        if (call.id !== undefined) ids.add(call.id)
        name += call.function?.name ?? ''
        args += call.function?.arguments ?? ''
        pieces++
      }
      assert.ok((choices[0]!.delta.content ?? '') === '')
      reason = choices[0]!.finish_reason ?? reason
    }
    assert.deepEqual([name, ids.size, reason], ['weather', 1, 'tool_calls'])
    assert.ok(pieces > 3)
    checkForecast(JSON.parse(args))
  })

  test('a client that knows functions only gets its call as one', async () => {
    const { json } = await post(`${api.url}/v1/chat/completions`, {
      ...body,
      parallel_tool_calls: undefined,
      functions: [WEATHER.function],
      function_call: { name: 'weather' },
    })
    const { choices } = json as {
      choices: { message: { function_call: { name: string; arguments: string } }; finish_reason: string }[]
    }
    assert.equal(choices[0]!.finish_reason, 'function_call')
    assert.equal(choices[0]!.message.function_call.name, 'weather')
    checkForecast(JSON.parse(choices[0]!.message.function_call.arguments))
  })

  test('tools that may be called leave the text free, and none are called where none may be', async () => {
    for (const choice of ['auto', 'none'] as const) {
      const { choices } = await openai.chat.completions.create({
        ...body,
        max_tokens: 8,
        tools: [WEATHER],
        tool_choice: choice,
      })
      assert.ok(choices[0]!.message.content!.length > 0)
      assert.equal(choices[0]!.finish_reason, 'length')
    }
    assert.match(await renderedPrompt({ tools: [WEATHER] }), /<tools>.*weather/)
    assert.doesNotMatch(await renderedPrompt({ tools: [WEATHER], tool_choice: 'none' }), /weather":/)
  })

  test('an answer has the form of a schema, streamed as well', async () => {
    const format = {
      type: 'json_schema' as const,
      json_schema: { name: 'forecast', strict: true, schema: PARAMETERS as Record<string, unknown> },
    }
    for (const seed of [5, 6]) {
      const { choices } = await openai.chat.completions.create({ ...body, seed, response_format: format })
      assert.equal(choices[0]!.finish_reason, 'stop')
      checkForecast(JSON.parse(choices[0]!.message.content!))
    }
    let text = ''
    for await (const chunk of await openai.chat.completions.create({
      ...body,
      response_format: format,
      stream: true,
    }))
      text += chunk.choices[0]?.delta.content ?? ''
    checkForecast(JSON.parse(text))
  })

  test('vLLM has names of its own for forms', async () => {
    assert.ok(['yes', 'no'].includes(await completed({ guided_choice: ['yes', 'no'] })))
    assert.match(await completed({ structured_outputs: { regex: '[a-c]{3}-[0-9]' } }), /^[a-c]{3}-\d$/)
    checkForecast(JSON.parse(await completed({ guided_json: JSON.stringify(PARAMETERS) })))
    checkForecast(JSON.parse(await completed({ structured_outputs: { json: PARAMETERS } })))
  })

  test('what cannot be enforced is refused by name', async () => {
    const odd = { type: 'object', unevaluatedProperties: false, $dynamicRef: '#x' }
    const [status, param, message] = await refused({
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: odd } },
    })
    assert.deepEqual([status, param], [400, 'response_format'])
    assert.match(String(message), /unevaluatedProperties|\$dynamicRef/)
    const tool = { type: 'function', function: { name: 'odd', parameters: odd } }
    assert.deepEqual((await refused({ tools: [tool], tool_choice: 'required' })).slice(0, 2), [400, 'tools'])
    const named = { type: 'function', function: { name: 'nope' } }
    assert.deepEqual((await refused({ tools: [WEATHER], tool_choice: named })).slice(0, 2), [400, 'tool_choice'])
  })

  test('thoughts are told apart from the answer', async () => {
    const think = { ...body, model: 'thinker', max_tokens: 12, chat_template_kwargs: { enable_thinking: true } }
    const { json } = await post(`${api.url}/v1/chat/completions`, think)
    const { choices, usage } = json as {
      choices: { message: { content: string; reasoning_content: string } }[]
      usage: { completion_tokens_details: { reasoning_tokens: number } }
    }
    assert.equal(choices[0]!.message.content, '')
    assert.ok(choices[0]!.message.reasoning_content.length > 10)
    assert.ok(usage.completion_tokens_details.reasoning_tokens > 5)
  })
})

test("Anthropic's clients get their tools used, streamed or not", async () => {
  const body = {
    model: 'demo',
    max_tokens: 100,
    messages,
    tools: [{ name: 'weather', input_schema: PARAMETERS as never }],
    tool_choice: { type: 'any' as const, disable_parallel_tool_use: true },
  }
  const message = await anthropic.messages.create(body)
  assert.equal(message.stop_reason, 'tool_use')
  const [block] = message.content
  assert.ok(block!.type === 'tool_use' && block!.name === 'weather')
  checkForecast(block!.input)
  const streamed = await anthropic.messages.stream(body).finalMessage()
  assert.equal(streamed.stop_reason, 'tool_use')
  assert.ok(streamed.content[0]!.type === 'tool_use')
  checkForecast(streamed.content[0]!.input)
})

test('responses have calls as items, and texts of a form', async () => {
  const body = {
    model: 'demo',
    input: 'What is the weather?',
    max_output_tokens: 100,
    parallel_tool_calls: false,
    tools: [{ ...WEATHER.function, type: 'function' as const, strict: true }],
    tool_choice: 'required' as const,
  }
  const { output, status } = await openai.responses.create(body)
  assert.equal(status, 'completed')
  const [call] = output
  assert.ok(call!.type === 'function_call' && call!.name === 'weather')
  checkForecast(JSON.parse(call!.arguments))

  const types: string[] = []
  let args = ''
  for await (const event of await openai.responses.create({ ...body, stream: true })) {
    types.push(event.type)
    if (event.type === 'response.function_call_arguments.delta') args += event.delta
    if (event.type === 'response.completed') {
      const [item] = event.response.output
      assert.ok(item!.type === 'function_call' && item!.arguments === args)
    }
  }
  checkForecast(JSON.parse(args))
  assert.ok(types.includes('response.function_call_arguments.done'))
  assert.equal(types.at(-1), 'response.completed')

  const formed = await openai.responses.create({
    model: 'demo',
    input: 'A forecast, please',
    max_output_tokens: 100,
    text: {
      format: { type: 'json_schema', name: 'forecast', strict: true, schema: PARAMETERS as Record<string, unknown> },
    },
  })
  checkForecast(JSON.parse(formed.output_text))
})
