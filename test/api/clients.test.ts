import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { ServedModel } from '../../src/api/models/served-model.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { DEMO, startServers } from '../client/kit.ts'
import { eventually } from '../eventually.ts'
import { type TestApi, post, readEvents, startTestApi } from './kit.ts'

/** Holds the middle, in a process that can be killed. */
let middle: LocalSwarm
let api: TestApi
before(async () => {
  middle = await startLocalSwarm({ model: DEMO, spans: [[3, 6]], names: ['tester'], threads: 1, bootstrap: false })
  const ends = [
    [0, 3],
    [6, 8],
  ] as const
  const model = { spans: ends, bootstrap: [middle.bootstrap], publicName: 'tester' }
  api = await startTestApi({ slots: 8, maxWaiting: 4 }, model)
})
after(async () => {
  await api.stop()
  await middle.stop()
})

const CHAT = '/v1/chat/completions'
const body = (content: string, fields: object = {}) => ({
  model: 'demo',
  messages: [{ role: 'user', content }],
  max_tokens: 20,
  ignore_eos: true,
  ...fields,
})

/** The value of a metric without labels, or of its only line. */
async function metricOf(name: string): Promise<number> {
  const text = await (await fetch(`${api.url}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}{`))
  return Number(line?.slice(line.lastIndexOf(' ')))
}

function streamed(content: string, fields: object = {}): Promise<Response> {
  return fetch(api.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body(content, { ...fields, stream: true })),
  })
}

test('many streams at once all come, in turns of as many as there are places; more are told to come back', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => streamed(`Stream ${i}`)))
  const statuses = answers.map(({ status }) => status)
  assert.equal(statuses.filter((status) => status === 200).length, 12)
  for (const answer of answers.filter(({ status }) => status !== 200)) {
    assert.equal(answer.status, 429)
    assert.ok(Number(answer.headers.get('retry-after')) >= 1)
  }
  for (const answer of answers.filter(({ status }) => status === 200)) {
    const events = await readEvents(answer)
    assert.equal(events.at(-1), '[DONE]')
    const text = events
      .slice(0, -1)
      .map((event) => JSON.parse(event) as { choices: { delta: { content?: string } }[] })
      .map(({ choices }) => choices[0]?.delta.content ?? '')
      .join('')
    assert.ok(text.length > 20)
  }
  assert.equal(await metricOf('vllm:num_requests_running'), 0)
})

test('clients that vanish while they wait or read give their places back', async () => {
  const stops = Array.from({ length: 12 }, () => new AbortController())
  const asked = stops.map(({ signal }, i) =>
    fetch(api.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body(`Gone ${i}`, { stream: true, max_tokens: 1500 })),
      signal,
    }).catch(() => undefined),
  )
  await eventually(async () => (await metricOf('vllm:num_requests_running')) === 8)
  await eventually(async () => (await metricOf('vllm:num_requests_waiting')) === 4)
  for (const stop of stops) stop.abort()
  await Promise.all(asked)
  await eventually(async () => (await metricOf('vllm:num_requests_running')) === 0)
  assert.equal(await metricOf('vllm:num_requests_waiting'), 0)
  assert.equal((await post(api.url + CHAT, body('Still there?'))).status, 200)
})

test('a client that does not read holds up its own answer only, and what is kept for it is bounded', async () => {
  const socket = connect(api.server.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  const request = JSON.stringify(body('Slow', { stream: true, max_tokens: 1500, logprobs: true, top_logprobs: 20 }))
  const headers = `host: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(request)}`
  socket.write(`POST ${CHAT} HTTP/1.1\r\n${headers}\r\n\r\n${request}`)
  await eventually(async () => (await metricOf('vllm:num_requests_running')) === 1)
  for (let i = 0; i < 3; i++) {
    const { status } = await post(api.url + CHAT, body(`Meanwhile ${i}`))
    assert.equal(status, 200)
  }
  socket.resetAndDestroy()
  await eventually(async () => (await metricOf('vllm:num_requests_running')) === 0)
})

test('a model goes by its name, its folder and what it was opened as', async () => {
  const { folder } = api.model.checkpoint
  for (const model of ['demo', folder, undefined]) {
    const { status, json } = await post(api.url + CHAT, body('Name', { model, max_tokens: 1 }))
    assert.deepEqual([status, (json as { model: string }).model], [200, 'demo'])
  }
  const found = await fetch(`${api.url}/v1/models/${encodeURIComponent(folder)}`)
  assert.equal(((await found.json()) as { id: string }).id, 'demo')
})

test('a chain is told to those who ask for it', async () => {
  const { json } = await post(api.url + CHAT, body('Who?'), { 'x-petals-chain': '1' })
  const { petals } = json as { petals: { chain: { blocks: string; name: string }[]; recoveries: unknown[] } }
  assert.deepEqual(
    petals.chain.map(({ blocks, name }) => [blocks, name]),
    [
      ['0:3', 'tester'],
      ['3:6', 'tester'],
      ['6:8', 'tester'],
    ],
  )
  assert.ok(!('petals' in ((await post(api.url + CHAT, body('Who?'))).json as object)))
})

test('an answer goes on where a server dies in its midst, and who asked for the chain is told', async () => {
  const spare = await startLocalSwarm({
    model: api.model.checkpoint.folder,
    spans: [[3, 6]],
    threads: 1,
    bootstrap: false,
    extraArgs: ['--bootstrap', middle.bootstrap],
  })
  try {
    await eventually(() => api.model.swarm.records().filter(({ state }) => state === 'ONLINE').length === 4)
    const response = await fetch(api.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-petals-chain': '1' },
      body: JSON.stringify(body('Of the state of the Union', { stream: true, max_tokens: 300, temperature: 0 })),
    })
    const reader = response.body!.getReader()
    const decoder = new TextDecoder()
    let text = ''
    let killed: string | undefined
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      text += decoder.decode(next.value, { stream: true })
      if (killed !== undefined || (text.match(/"content":"/g)?.length ?? 0) < 20) continue
      killed = /"peer":"(\w+)"[^}]*"blocks":"3:6"/.exec(text)![1]!
      const server = [...middle.servers, ...spare.servers].find(({ peerId }) => peerId === killed)!
      server.process.kill('SIGKILL')
    }
    assert.ok(text.endsWith('data: [DONE]\n\n'))
    const events = text.split('\n\n').filter((event) => event.startsWith('data: {'))
    const told = events.map((event) => JSON.parse(event.slice(6)) as { petals?: { recoveries: { lost: string[] }[] } })
    const { recoveries } = told.findLast(({ petals }) => petals !== undefined)!.petals!
    // On a busy machine a living server may be given up as well.
    assert.equal(recoveries.filter(({ lost }) => lost.includes(killed!)).length, 1)
  } finally {
    await spare.stop()
  }
})

test('a checkpoint without a tokenizer serves token ids, beside another model', async () => {
  const folder = new URL('../fixtures/llama', import.meta.url).pathname
  const swarm = await startServers(folder, [
    [0, 2],
    [2, 3],
  ])
  const model = await AutoDistributedModelForCausalLM.fromPretrained(folder, { bootstrap: swarm.bootstrap, threads: 1 })
  const served = await ServedModel.open(model, folder, { template: 'model', promptCacheTokens: 0 })
  api.server.catalog.add(served)
  try {
    const { data } = (await (await fetch(`${api.url}/v1/models`)).json()) as { data: { id: string }[] }
    assert.deepEqual(
      data.map(({ id }) => id),
      ['demo', 'llama'],
    )
    const ids = { model: 'llama', prompt: [5, 6, 7], max_tokens: 3, echo: true, logprobs: 1, return_token_ids: true }
    const { json } = await post(`${api.url}/v1/completions`, ids)
    const [choice] = (json as { choices: { token_ids: number[]; logprobs: { tokens: string[] } }[] }).choices
    assert.deepEqual(
      choice!.logprobs.tokens,
      [5, 6, 7, ...choice!.token_ids].map((id) => `token_id:${id}`),
    )
    const refused = [
      ['/v1/completions', { model: 'llama', prompt: 'text' }],
      ['/v1/completions', { model: 'llama', prompt: [5], stop: 'x' }],
      [CHAT, { model: 'llama', messages: [{ role: 'user', content: 'Hi' }] }],
      ['/tokenize', { model: 'llama', prompt: 'text' }],
    ] as const
    for (const [path, fields] of refused) assert.equal((await post(api.url + path, fields)).status, 400, path)
    // With two models a request must say which it means.
    assert.equal((await post(api.url + CHAT, body('Hi', { model: undefined }))).status, 404)
  } finally {
    await served.close()
    await model.close()
    await swarm.stop()
  }
})
