import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { goldenTexts } from '../client/kit.ts'
import { LOOPBACK, goldenContinuation, run, startReady, tempFolder, until } from './kit.ts'

const SERVE = ['serve', ...LOOPBACK, '--threads', '1', '--attn-cache-tokens', '4096']

async function post(port: number | null, path: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return { status: response.status, retryAfter: response.headers.get('retry-after'), json: await response.json() }
}

/** The lines of a metric. */
async function metricOf(port: number | null, name: string, key = 'none'): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { 'x-api-key': key } })
  const lines = (await response.text()).split('\n')
  return lines.filter((line) => line.startsWith(`${name}{`)).join('\n')
}

test('a server with --api-port answers through all spans, and says what is missing', async (t) => {
  const first = await startReady(t, [...SERVE, '--blocks', '0:5', '--api-port', '0'])
  const { httpPort, multiaddrs } = first.report
  const [{ prompt } = { prompt: '' }] = await goldenTexts()
  const body = { model: 'demo', prompt, max_tokens: 20, temperature: 0 }
  const before = await post(httpPort, '/v1/completions', body)
  assert.equal(before.status, 503)
  assert.ok(Number(before.retryAfter) > 0)
  const { error } = before.json as { error: { code: string; missing_blocks: number[] } }
  assert.deepEqual([error.code, error.missing_blocks], ['blocks_missing', [5, 6, 7]])

  await startReady(t, [...SERVE, '--blocks', '5:8', '--bootstrap', multiaddrs[0]!])
  const after = await until('all blocks are served', async () => {
    const answer = await post(httpPort, '/v1/completions', body, { 'x-petals-chain': '1' })
    return answer.status === 200 ? answer : undefined
  })
  const { choices, petals } = after.json as {
    choices: { text: string }[]
    petals: { chain: { peer: string; blocks: string }[] }
  }
  assert.ok((await goldenContinuation()).startsWith(choices[0]!.text))
  assert.deepEqual(
    petals.chain.map(({ blocks }) => blocks),
    ['0:5', '5:8'],
  )
  assert.equal(petals.chain[0]!.peer, first.report.peerId)
  assert.match(await metricOf(httpPort, 'petals_server_info'), /blocks="0:5".*\} 1$/)
  assert.match(await metricOf(httpPort, 'vllm:generation_tokens_total'), /\} 20$/)
  first.child.kill('SIGTERM')
  assert.equal(await first.ended, 0)
})

test('petals-node api asks for keys, logs nothing of requests, and lets answers end when told to stop', async (t) => {
  const server = await startReady(t, SERVE)
  const keyFile = join(await tempFolder(t), 'keys.yaml')
  await writeFile(
    keyFile,
    '- { name: alice, key: sk-of-alice-0123 }\n- { name: bob, key: sk-of-bob-4567, tokensPerDay: 5 }\n',
  )
  await chmod(keyFile, 0o600)
  // As long as the answer takes, on any machine.
  const patient = ['--drain-timeout', '600']
  const options = ['--port', '0', '--log-level', 'debug', '--api-key-file', keyFile, '--threads', '1', ...patient]
  const api = await startReady(t, ['api', '--bootstrap', server.report.multiaddrs[0]!, ...options])
  const { httpPort } = api.report
  const body = { model: 'demo', messages: [{ role: 'user', content: 'My secret question' }], max_tokens: 3 }
  const ask = (key?: string) =>
    post(httpPort, '/v1/chat/completions', body, key === undefined ? {} : { authorization: `Bearer ${key}` })
  assert.deepEqual((await ask()).status, 401)
  assert.deepEqual((await ask('sk-of-nobody')).status, 401)
  assert.deepEqual((await ask('sk-of-alice-0123')).status, 200)
  assert.deepEqual((await ask('sk-of-bob-4567')).status, 200)
  const { status, json, retryAfter } = await ask('sk-of-bob-4567')
  assert.deepEqual([status, (json as { error: { code: string } }).error.code], [429, 'insufficient_quota'])
  assert.ok(Number(retryAfter) > 0)
  const used = await metricOf(httpPort, 'petals_api_tokens_total', 'sk-of-alice-0123')
  assert.match(used, /\{key="alice",kind="completion"\} 3$/m)
  assert.equal((await fetch(`http://127.0.0.1:${httpPort}/health`)).status, 200)

  const response = await fetch(`http://127.0.0.1:${httpPort}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'sk-of-alice-0123' },
    body: JSON.stringify({ ...body, stream: true, max_tokens: 120, ignore_eos: true }),
  })
  const reader = response.body!.getReader()
  await reader.read()
  api.child.kill('SIGTERM')
  let text = ''
  const decoder = new TextDecoder()
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value)
  assert.ok(text.endsWith('data: [DONE]\n\n'), text.slice(-200))
  assert.ok(text.includes('"finish_reason":"length"'))
  assert.equal(await api.ended, 0)
  for (const secret of ['secret question', 'sk-of-alice', 'sk-of-bob', 'sk-of-nobody'])
    assert.ok(!api.out.stderr.includes(secret), secret)
})

test('wrong options of the API are refused by name', async (t) => {
  const folder = await tempFolder(t)
  const keyFile = join(folder, 'keys.yaml')
  await writeFile(keyFile, '- { name: alice, key: short }\n')
  const bootstrap = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWFTGwsv13fR6SGiSTVzbx6pk2kKJoSsVYGCRTQg3LmW4W'
  const cases: [string[], RegExp][] = [
    [['--port', '70000'], /--port 70000/],
    [['--cors-origins', 'example.com'], /--cors-origins example\.com: expected \*, or an origin/],
    [['--api-key', ''], /--api-key: a key is neither empty/],
    [['--api-key-file', join(folder, 'nowhere.yaml')], /--api-key-file .*nowhere\.yaml/],
    [['--api-key-file', keyFile], /entry 0\.key/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await run(t, 'api', '--bootstrap', bootstrap, ...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /short/)
  }
})
