import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI, { APIError } from 'openai'
import { type GoldenText, goldenTexts } from '../client/kit.ts'
import { eventually } from '../eventually.ts'
import { type TestApi, startTestApi } from './kit.ts'

/** Both are told when a client goes. */
const HALVES = [
  [0, 4],
  [4, 8],
] as const

let api: TestApi
let client: OpenAI
let golden: (GoldenText & { token_logprobs: number[] })[]
before(async () => {
  api = await startTestApi({}, { spans: HALVES })
  client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
  golden = (await goldenTexts()) as typeof golden
})
after(() => api.stop())

/** The reference's continuation of a prompt. */
const continued = ({ prompt, text }: GoldenText): string => text.slice(prompt.length)
const newTokens = ({ input_ids: ids, greedy_ids: all }: GoldenText): number => all.length - ids.length

const messages = () => [{ role: 'user' as const, content: golden[0]!.prompt }]
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

const status = async (request: Promise<unknown>): Promise<{ status: number; code: string; param: string }> => {
  const error = await request.then(
    () => assert.fail('expected an error'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof APIError, String(error))
  return { status: error.status as number, code: String(error.code), param: String(error.param) }
}

/** How many steps each server has computed. */
const stepsOf = (): number[] => api.servers.map(({ server }) => server.blocks.stats.steps)

describe('chat', () => {
  test('an answer is what the model writes, with usage and times', async () => {
    const answer = await client.chat.completions.create({
      model: 'demo',
      messages: messages(),
      temperature: 0,
      max_completion_tokens: newTokens(golden[0]!),
    })
    assert.match(answer.id, /^chatcmpl-/)
    assert.equal(answer.object, 'chat.completion')
    assert.equal(answer.model, 'demo')
    const [choice] = answer.choices
    assert.deepEqual(choice!.message, { role: 'assistant', content: continued(golden[0]!), refusal: null })
    assert.equal(choice!.finish_reason, 'length')
    assert.equal(choice!.logprobs, null)
    assert.equal(answer.usage!.prompt_tokens, golden[0]!.input_ids.length)
    assert.equal(answer.usage!.completion_tokens, newTokens(golden[0]!))
    assert.equal(answer.usage!.total_tokens, golden[0]!.greedy_ids.length)
    const { timings } = answer as unknown as { timings: Record<string, number> }
    assert.equal(timings['predicted_n'], newTokens(golden[0]!))
    assert.ok(timings['predicted_per_second']! > 0)
  })

  test('a stream has the same text, its usage only where it is asked for, and one id', async () => {
    for (const includeUsage of [true, false]) {
      const stream = await client.chat.completions.create({
        model: 'demo',
        messages: messages(),
        temperature: 0,
        max_tokens: 12,
        stream: true,
        ...(includeUsage && { stream_options: { include_usage: true } }),
      })
      const chunks = []
      for await (const chunk of stream) chunks.push(chunk)
      assert.equal(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size, 1)
      assert.deepEqual(chunks[0]!.choices[0]!.delta, { role: 'assistant', content: '' })
      const last = chunks.at(includeUsage ? -2 : -1)!
      assert.deepEqual(last.choices[0]!.delta, {})
      assert.equal(last.choices[0]!.finish_reason, 'length')
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
      assert.ok(continued(golden[0]!).startsWith(text) && text.length > 20, text)
      if (!includeUsage) {
        assert.ok(chunks.every((chunk) => !('usage' in chunk)))
        continue
      }
      assert.deepEqual(chunks.at(-1)!.choices, [])
      assert.equal(chunks.at(-1)!.usage!.completion_tokens, 12)
      assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null))
    }
  })

  test('several answers are drawn from one seed, streamed or not', async () => {
    const body = { model: 'demo', messages: messages(), n: 3, seed: 7, max_tokens: 8, temperature: 1.2 }
    const whole = await client.chat.completions.create(body)
    const texts = whole.choices.map(({ message }) => message.content)
    assert.deepEqual(
      whole.choices.map(({ index }) => index),
      [0, 1, 2],
    )
    assert.equal(new Set(texts).size, 3)
    const streamed = ['', '', '']
    const ends: number[] = []
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      for (const { index, delta, finish_reason: reason } of choices) {
        streamed[index] += delta.content ?? ''
        if (reason !== null) ends.push(index)
      }
    }
    assert.deepEqual(streamed, texts)
    assert.deepEqual(ends.toSorted(), [0, 1, 2])
  })

  test('log-probabilities come with the likeliest tokens, streamed as well', async () => {
    const body = {
      model: 'demo',
      messages: messages(),
      temperature: 0,
      max_tokens: 5,
      logprobs: true,
      top_logprobs: 3,
    }
    const whole = (await client.chat.completions.create(body)).choices[0]!
    const content = whole.logprobs!.content!
    assert.equal(content.map(({ token }) => token).join(''), whole.message.content)
    for (const [i, { token, logprob, bytes, top_logprobs: top }] of content.entries()) {
      assert.ok(Math.abs(logprob - golden[0]!.token_logprobs.at(i - newTokens(golden[0]!))!) < 1e-3)
      assert.equal(Buffer.from(bytes!).toString(), token)
      assert.equal(top.length, 3)
      assert.deepEqual({ token: top[0]!.token, logprob: top[0]!.logprob }, { token, logprob })
    }
    const streamed = []
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
      streamed.push(...(choices[0]?.logprobs?.content ?? []))
    assert.deepEqual(streamed, content)
  })

  test('stop strings are not told, and end the text', async () => {
    const [first] = continued(golden[0]!).split(' of')
    for (const stop of [' of', ['never comes', ' of']]) {
      const body = { model: 'demo', messages: messages(), temperature: 0, max_tokens: 60, stop }
      const { choices } = await client.chat.completions.create(body)
      assert.equal(choices[0]!.message.content, first)
      assert.equal(choices[0]!.finish_reason, 'stop')
      let streamed = ''
      for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
        streamed += chunk.choices[0]?.delta.content ?? ''
      assert.equal(streamed, first)
    }
  })

  test('biases ban and force tokens, and penalties change texts', async () => {
    const body = { model: 'demo', messages: messages(), temperature: 0, max_tokens: 6 }
    const [banned] = await api.model.encode(golden[0]!.greedy_ids.slice(golden[0]!.input_ids.length))
    const plain = await client.chat.completions.create(body)
    const biased = await client.chat.completions.create({ ...body, logit_bias: { [banned!]: -100 } })
    assert.notEqual(biased.choices[0]!.message.content, plain.choices[0]!.message.content)
    const [forced] = await api.model.tokenizer!.encode(' war', { addSpecialTokens: false })
    const only = await client.chat.completions.create({ ...body, max_tokens: 3, logit_bias: { [forced!]: 100 } })
    assert.equal(only.choices[0]!.message.content, ' war war war')
    const penalized = await client.chat.completions.create({
      ...body,
      max_tokens: 3,
      logit_bias: { [forced!]: 50 },
      presence_penalty: 2,
      frequency_penalty: 2,
    })
    assert.ok(penalized.choices[0]!.message.content!.startsWith(' war'))
  })

  test('a conversation that goes on computes only what is new', async () => {
    const chat = [{ role: 'user' as 'user' | 'assistant', content: 'Of the state of the Union' }]
    const usages = []
    let before = 0
    for (const question of ['And of war', 'And of peace', 'And of trade']) {
      const { choices, usage } = await client.chat.completions.create({
        model: 'demo',
        messages: chat,
        max_tokens: 12,
        temperature: 0.9,
        seed: 4,
      })
      usages.push(usage!)
      const cached = usage!.prompt_tokens_details!.cached_tokens!
      // The last token of an answer was never fed.
      assert.ok(cached >= before - 1, `${cached} of ${usage!.prompt_tokens} tokens, ${before} were computed before`)
      before = usage!.total_tokens
      chat.push({ role: 'assistant', content: choices[0]!.message.content! }, { role: 'user', content: question })
    }
    assert.equal(usages.length, 3)
  })

  test('an abort ends the text on the servers', async () => {
    const stop = new AbortController()
    const stream = await client.chat.completions.create(
      { model: 'demo', messages: messages(), max_tokens: 1900, temperature: 1, stream: true },
      { signal: stop.signal },
    )
    let seen = 0
    for await (const _ of stream) if (++seen === 5) stop.abort()
    assert.ok(seen >= 5 && seen < 1000, `${seen} chunks`)
    await eventually(async () => {
      const metrics = await (await fetch(`${api.url}/metrics`)).text()
      return /^vllm:num_requests_running\{.*\} 0$/m.test(metrics)
    })
    // What was computed stays for the next request; nothing more is.
    const steps = stepsOf()
    await sleep(300)
    assert.deepEqual(stepsOf(), steps)
  })
})

describe('completions', () => {
  test('each form of a prompt is continued as the reference is', async () => {
    const [first, second] = golden
    const body = { model: 'demo', temperature: 0, max_tokens: 10 }
    const forms = [first!.prompt, [first!.prompt, second!.prompt], first!.input_ids, golden.map((g) => g.input_ids)]
    for (const prompt of forms) {
      const { choices, object, id } = await client.completions.create({ ...body, prompt })
      assert.equal(object, 'text_completion')
      assert.match(id, /^cmpl-/)
      assert.deepEqual(
        choices.map(({ index }) => index),
        choices.map((_, i) => i),
      )
      for (const [i, { text }] of choices.entries()) {
        assert.ok(continued(golden[i]!).startsWith(text), `${JSON.stringify(text)} of ${JSON.stringify(prompt)}`)
        assert.ok(text.length > 10)
      }
      const streamed: string[] = choices.map(() => '')
      for await (const chunk of await client.completions.create({ ...body, prompt, stream: true }))
        for (const { index, text } of chunk.choices) streamed[index] += text
      assert.deepEqual(
        streamed,
        choices.map(({ text }) => text),
      )
    }
  })

  test('echo scores the golden texts as the references do, without a step of decoding', async () => {
    const { choices, usage } = await client.completions.create({
      model: 'demo',
      prompt: golden.map(({ greedy_ids: ids }) => ids),
      max_tokens: 0,
      echo: true,
      logprobs: 1,
    })
    assert.equal(usage!.completion_tokens, 0)
    for (const [i, { logprobs, text }] of choices.entries()) {
      const { greedy_ids: ids, input_ids: prompt, token_logprobs: expected } = golden[i]!
      assert.equal(text, golden[i]!.text)
      const { tokens, token_logprobs: found, top_logprobs: top, text_offset: offsets } = logprobs!
      assert.equal(found!.length, ids.length)
      assert.equal(found![0], null)
      const from = ids.length - expected.length
      for (const [j, logprob] of expected.entries())
        assert.ok(Math.abs(found![from + j]! - logprob) < 1e-3, `token ${from + j}: ${found![from + j]}, ${logprob}`)
      // What was continued greedily was the likeliest.
      for (let j = prompt.length; j < ids.length; j++) assert.equal(Math.max(...Object.values(top![j]!)), found![j])
      for (const [j, offset] of offsets!.entries())
        if (j > 0) assert.equal(text.slice(offset, offset + tokens![j]!.length), tokens![j])
    }
  })

  test('echo and a text behind it have one list of log-probabilities, streamed as well', async () => {
    const body = { model: 'demo', prompt: golden[0]!.prompt, max_tokens: 4, echo: true, logprobs: 2, temperature: 0 }
    const [whole] = (await client.completions.create(body)).choices
    assert.ok(golden[0]!.text.startsWith(whole!.text) && whole!.text.length > golden[0]!.prompt.length)
    assert.equal(whole!.logprobs!.tokens!.length, golden[0]!.input_ids.length + 4)
    let text = ''
    const tokens: string[] = []
    const offsets: number[] = []
    for await (const { choices } of await client.completions.create({ ...body, stream: true })) {
      text += choices[0]!.text
      tokens.push(...(choices[0]!.logprobs?.tokens ?? []))
      offsets.push(...(choices[0]!.logprobs?.text_offset ?? []))
    }
    assert.equal(text, whole!.text)
    assert.deepEqual(tokens, whole!.logprobs!.tokens)
    assert.deepEqual(offsets, whole!.logprobs!.text_offset)
  })

  test('of best_of texts the likeliest are told', async () => {
    const body = { model: 'demo', prompt: golden[1]!.prompt, max_tokens: 6, seed: 3, temperature: 1.5, logprobs: 0 }
    const all = await client.completions.create({ ...body, n: 5 })
    const best = await client.completions.create({ ...body, n: 2, best_of: 5 })
    const ranked = all.choices
      .toSorted((a, b) => mean(b.logprobs!.token_logprobs!) - mean(a.logprobs!.token_logprobs!))
      .slice(0, 2)
    assert.deepEqual(new Set(best.choices.map(({ text }) => text)), new Set(ranked.map(({ text }) => text)))
  })

  test('more texts than run at once all come', async () => {
    const { choices } = await client.completions.create({ model: 'demo', prompt: 'We', n: 20, max_tokens: 2, seed: 1 })
    assert.deepEqual(
      choices.map(({ index }) => index),
      Array.from({ length: 20 }, (_, i) => i),
    )
    const streamed: string[] = choices.map(() => '')
    const body = { model: 'demo', prompt: 'We', n: 20, max_tokens: 2, seed: 1, stream: true } as const
    for await (const chunk of await client.completions.create(body))
      for (const { index, text } of chunk.choices) streamed[index] += text
    assert.deepEqual(
      streamed,
      choices.map(({ text }) => text),
    )
  })
})

describe('errors', () => {
  test('have the status, code and field that clients branch on', async () => {
    const chat = (fields: object) =>
      status(client.chat.completions.create({ model: 'demo', messages: messages(), max_tokens: 1, ...fields } as never))
    assert.deepEqual(await chat({ model: 'gpt-4' }), { status: 404, code: 'model_not_found', param: 'model' })
    assert.deepEqual(await chat({ temperature: 'hot' }), { status: 400, code: 'invalid_value', param: 'temperature' })
    assert.equal((await chat({ messages: [{ role: 'king', content: '' }] })).param, 'messages[0].role')
    assert.equal((await chat({ messages: [] })).param, 'messages')
    assert.equal((await chat({ top_logprobs: 21 })).param, 'top_logprobs')
    assert.equal((await chat({ top_logprobs: 2 })).param, 'top_logprobs')
    assert.equal((await chat({ stream_options: { include_usage: true } })).param, 'stream_options')
    assert.equal((await chat({ min_tokens: 2 })).param, 'min_tokens')
    assert.equal((await chat({ tool_choice: 'required' })).param, 'tool_choice')
    assert.equal((await chat({ guided_grammar: 'root ::= "a"' })).param, 'guided_grammar')
    assert.equal((await chat({ structured_outputs: { grammar: 'a' } })).param, 'structured_outputs.grammar')
    assert.equal((await chat({ structured_outputs: { other: 'a' } })).param, 'structured_outputs')
    assert.equal((await chat({ guided_regex: 'a', response_format: { type: 'json_object' } })).param, 'guided_regex')
    assert.equal((await chat({ max_tokens: 5000 })).code, 'context_length_exceeded')
    const long = 'a '.repeat(1_900_000)
    assert.equal((await chat({ messages: [{ role: 'user', content: long }] })).code, 'context_length_exceeded')
    assert.equal((await chat({ logit_bias: { 99999: 1 } })).code, 'invalid_token_id')
    const image = { type: 'image_url', image_url: { url: 'x' }, text: 'A text beside it does not make it one.' }
    const withImage = await chat({ messages: [{ role: 'user', content: [image] }] })
    assert.equal(withImage.param, 'messages[0].content[0].type')
    const complete = (fields: object) =>
      status(client.completions.create({ model: 'demo', prompt: 'a', ...fields } as never))
    assert.equal((await complete({ suffix: 'b' })).param, 'suffix')
    assert.equal((await complete({ stream_options: {} })).param, 'stream_options')
    assert.equal((await complete({ max_tokens: 1, min_tokens: 2 })).param, 'min_tokens')
    assert.equal((await complete({ prompt: ['a', long] })).code, 'context_length_exceeded')
    assert.equal((await complete({ prompt: [4096] })).code, 'invalid_token_id')
    assert.equal((await complete({ prompt: [[1], ['a']] })).param, 'prompt')
    assert.equal((await complete({ n: 3, best_of: 2 })).param, 'best_of')
    assert.equal((await complete({ n: 1, best_of: 2, stream: true })).param, 'best_of')
    assert.equal((await status(client.models.retrieve('nope'))).status, 404)
  })
})

test('models are listed and found', async () => {
  const { data } = await client.models.list()
  assert.deepEqual(
    data.map(({ id, object }) => [id, object]),
    [['demo', 'model']],
  )
  assert.deepEqual(await client.models.retrieve('demo'), data[0])
})
