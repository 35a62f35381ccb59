import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import Anthropic, { BadRequestError, NotFoundError } from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { type GoldenText, goldenTexts } from '../client/kit.ts'
import { type TestApi, post, startTestApi } from './kit.ts'

let api: TestApi
let openai: OpenAI
let anthropic: Anthropic
let golden: GoldenText[]
before(async () => {
  api = await startTestApi()
  openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: api.url, apiKey: 'none', maxRetries: 0 })
  golden = await goldenTexts()
})
after(() => api.stop())

const continued = ({ prompt, text }: GoldenText): string => text.slice(prompt.length)

const inputBody = () => ({ model: 'demo', input: golden[0]!.prompt, temperature: 0, max_output_tokens: 16 })

const messageBody = () => ({
  model: 'demo',
  max_tokens: 16,
  temperature: 0,
  messages: [{ role: 'user' as const, content: golden[0]!.prompt }],
})

const failed = async (fields: object): Promise<unknown> =>
  anthropic.messages.create({ ...messageBody(), ...fields } as never).then(
    () => assert.fail('expected an error'),
    (error: unknown) => error,
  )

describe('responses', () => {
  test('a text is one message, cut where it was told to be', async () => {
    const response = await openai.responses.create(inputBody())
    assert.match(response.id, /^resp_/)
    assert.equal(response.object, 'response')
    assert.equal(response.status, 'incomplete')
    assert.deepEqual(response.incomplete_details, { reason: 'max_output_tokens' })
    assert.ok(continued(golden[0]!).startsWith(response.output_text) && response.output_text.length > 40)
    assert.deepEqual(
      response.output.map(({ type }) => type),
      ['message'],
    )
    assert.equal(response.usage!.output_tokens, 16)
    assert.equal(response.usage!.input_tokens, golden[0]!.input_ids.length)
  })

  test('a stream tells of each item in order, and ends with the whole response', async () => {
    const stream = await openai.responses.create({ ...inputBody(), stream: true })
    const events = []
    for await (const event of stream) events.push(event)
    assert.deepEqual(
      events.map(({ sequence_number: number }) => number),
      events.map((_, i) => i),
    )
    const types = events.map(({ type }) => type)
    assert.deepEqual(types.slice(0, 4), [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
    ])
    assert.deepEqual(types.slice(-4), [
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ])
    const deltas = events.filter((event) => event.type === 'response.output_text.delta').map(({ delta }) => delta)
    assert.equal(deltas.length, 16)
    const whole = await openai.responses.create(inputBody())
    assert.equal(deltas.join(''), whole.output_text)
    const last = events.at(-1)!
    assert.ok(last.type === 'response.incomplete')
    assert.equal(last.response.usage!.output_tokens, 16)
  })

  test('a conversation is sent as items, and what is not kept is refused', async () => {
    const input = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'input_text', text: 'Hello' }] },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Well', annotations: [] }] },
      { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{"city":"Rome"}' },
      { type: 'function_call_output', call_id: 'c1', output: 'sunny' },
      { role: 'user', content: 'And now?' },
    ]
    const { output_text: text } = await openai.responses.create({
      model: 'demo',
      instructions: 'Speak English.',
      input: input as never,
      max_output_tokens: 4,
    })
    assert.ok(text.length > 0)
    for (const [fields, param] of [
      [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
      [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0].type'],
      [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content'],
      [{ input: 5 }, 'input'],
    ] as const) {
      const { status, json } = await post(`${api.url}/v1/responses`, { ...inputBody(), ...fields })
      assert.deepEqual([status, (json as { error: { param: string } }).error.param], [400, param])
    }
  })
})

describe('messages', () => {
  test('a text is one block', async () => {
    const message = await anthropic.messages.create(messageBody())
    assert.match(message.id, /^msg_/)
    assert.deepEqual([message.type, message.role, message.model], ['message', 'assistant', 'demo'])
    const [block] = message.content
    assert.ok(block!.type === 'text' && continued(golden[0]!).startsWith(block.text))
    assert.deepEqual([message.stop_reason, message.stop_sequence], ['max_tokens', null])
    const { input_tokens: computed, cache_read_input_tokens: held } = message.usage
    assert.equal(computed + held!, golden[0]!.input_ids.length)
    assert.equal(message.usage.output_tokens, 16)
  })

  test('a stop sequence is told', async () => {
    const message = await anthropic.messages.create({ ...messageBody(), stop_sequences: ['xyz', ' of'] })
    assert.deepEqual([message.stop_reason, message.stop_sequence], ['stop_sequence', ' of'])
    const [block] = message.content
    assert.ok(block!.type === 'text' && block.text === continued(golden[0]!).split(' of')[0])
  })

  test('a stream begins, continues and ends each block', async () => {
    const stream = anthropic.messages.stream(messageBody())
    const types: string[] = []
    let text = ''
    for await (const event of stream) {
      if (types.at(-1) !== event.type) types.push(event.type)
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
    }
    assert.deepEqual(types, [
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    const whole = await anthropic.messages.create(messageBody())
    assert.deepEqual(whole.content, [{ type: 'text', text }])
    const final = await stream.finalMessage()
    assert.deepEqual([final.stop_reason, final.usage.output_tokens], ['max_tokens', 16])
  })

  test('blocks of a conversation with tools become the messages of a chat', async () => {
    const message = await anthropic.messages.create({
      ...messageBody(),
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Rome' } },
          ],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'sunny' }] },
      ],
    })
    assert.equal(message.usage.output_tokens, 16)
  })

  test('tokens are counted without any being computed', async () => {
    const { messages } = messageBody()
    const { input_tokens: count } = await anthropic.messages.countTokens({ model: 'demo', messages })
    assert.equal(count, golden[0]!.input_ids.length)
  })

  test("errors have Anthropic's form", async () => {
    const unknown = await failed({ model: 'claude' })
    assert.ok(unknown instanceof NotFoundError)
    assert.equal((unknown.error as { error: { type: string } }).error.type, 'not_found_error')
    assert.ok((await failed({ max_tokens: 0 })) instanceof BadRequestError)
    const image = { type: 'image', source: { type: 'url', url: 'x' } }
    assert.ok((await failed({ messages: [{ role: 'user', content: [image] }] })) instanceof BadRequestError)
  })
})

describe('embeddings', () => {
  test('are the mean of the last hidden states, for each form of input, as numbers or base64', async () => {
    const { prompt, input_ids: ids } = golden[0]!
    const states = asFloat32(await api.model.hiddenStates([ids]))
    const width = states.length / ids.length
    const expected = Array.from({ length: width }, (_, i) => {
      let sum = 0
      for (let row = 0; row < ids.length; row++) sum += states[row * width + i]!
      return sum / ids.length
    })
    const close = (found: readonly number[]): void => {
      assert.equal(found.length, width)
      for (const [i, value] of found.entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-5, `${i}`)
    }
    for (const input of [prompt, [prompt, 'Another'], ids, [ids, [5, 6]]]) {
      for (const format of ['float', 'base64', undefined] as const) {
        const { data, usage, object } = await openai.embeddings.create({
          model: 'demo',
          input: input as string,
          ...(format !== undefined && { encoding_format: format }),
        })
        assert.equal(object, 'list')
        assert.ok(usage.prompt_tokens >= ids.length)
        const { embedding, index } = data[0]!
        assert.equal(index, 0)
        const text = embedding as unknown as string
        close(
          format === 'base64' ? [...new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)] : embedding,
        )
      }
    }
    const { data } = await openai.embeddings.create({ model: 'demo', input: prompt, dimensions: 8 })
    assert.deepEqual(data[0]!.embedding.length, 8)
    const tooMany = await post(`${api.url}/v1/embeddings`, { model: 'demo', input: 'a', dimensions: 1000 })
    assert.equal(tooMany.status, 400)
  })

  test('the last hidden states are those of a model without its head', async () => {
    const { input_ids: ids } = golden[1]!
    const { AutoDistributedModel } = await import('../../src/client/model/hidden-model.ts')
    await using model = await AutoDistributedModel.fromPretrained(api.model.checkpoint.folder, {
      bootstrap: api.bootstrap,
      threads: 1,
    })
    const [expected, found] = [await model.forward([ids]), await api.model.hiddenStates([ids])].map(asFloat32)
    assert.equal(found!.length, expected!.length)
    for (const [i, value] of found!.entries()) assert.ok(Math.abs(value - expected![i]!) < 1e-4)
  })
})
