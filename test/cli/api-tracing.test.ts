import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { startReady } from './kit.ts'
import { type Span, ended, traced, valuesOf } from './trace-collector.ts'

const SECRETS = ['My secret question', 'sk-of-alice-0123', 'req-of-alice', 'sk-of-bob-4567']

/** The header of a caller whose trace is kept, or not. */
function callerOf(flags: '00' | '01'): { traceId: string; spanId: string; traceparent: string } {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` }
}

test('each HTTP request is a span in the trace of its caller, and all that is done for it lies below', async (t) => {
  const { got, swarm } = await traced(t)
  const args = [
    'api',
    '--bootstrap',
    swarm.bootstrap,
    '--port',
    '0',
    '--threads',
    '1',
    '--api-key',
    SECRETS[1]!,
    '--api-key',
    SECRETS[3]!,
  ]
  const api = await startReady(t, args)
  const ask = async (path: string, headers: Record<string, string>, body?: object): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${api.report.httpPort}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        'content-type': 'application/json',
        'x-api-key': SECRETS[1]!,
        'x-request-id': SECRETS[2]!,
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    await response.text()
    return response.status
  }
  const caller = callerOf('01')
  const unkept = callerOf('00')
  const fields = { model: 'demo', max_tokens: 3, temperature: 0, ignore_eos: true }
  const messages = [{ role: 'user', content: SECRETS[0] }]
  const chat = { ...fields, messages }
  const { traceparent } = caller
  assert.equal(await ask('/v1/chat/completions', { traceparent }, { ...chat, stream: true }), 200)
  // Another key's, which has a session of its own.
  const ofBob = { traceparent: unkept.traceparent, 'x-api-key': SECRETS[3]! }
  assert.equal(await ask('/v1/completions', ofBob, { ...fields, prompt: 'Other' }), 200)
  assert.equal(await ask('/v1/chat/completions', { traceparent: 'nonsense' }, chat), 200)
  assert.equal(await ask('/v1/embeddings', {}, { model: 'demo', input: SECRETS[0] }), 200)
  assert.equal(await ask('/v1/chat/completions', {}, { ...chat, model: SECRETS[0] }), 404)
  assert.equal(await ask(`/v1/${encodeURIComponent(SECRETS[0]!)}`, {}), 404)
  api.child.kill('SIGTERM')
  assert.equal(await api.ended, 0, api.out.stderr)
  await ended(swarm)

  const requests = got.filter(({ name }) => /^(GET|POST)\b/.test(name))
  const ofChat = requests.find(({ traceId }) => traceId === caller.traceId)!
  const below = (parent: Span): Span[] => got.filter(({ parentSpanId }) => parentSpanId === parent.spanId)

  await t.test("the caller's span, the request, its session, and the steps on both servers", () => {
    assert.equal(ofChat.name, 'POST /v1/chat/completions')
    assert.equal(ofChat.parentSpanId, caller.spanId)
    assert.deepEqual(valuesOf(ofChat.attributes), {
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
      'gen_ai.request.model': 'demo',
    })
    const [session, ...others] = below(ofChat)
    assert.equal(session!.name, 'session')
    assert.deepEqual(others, [])
    const steps = below(session!).filter(({ traceId }) => traceId === caller.traceId)
    assert.deepEqual(new Set(steps.map(({ name }) => name)), new Set(['step']))
    const servers = steps.map(({ attributes }) => valuesOf(attributes)['petals.server'])
    assert.deepEqual(new Set(servers), new Set(swarm.servers.map(({ peerId }) => peerId)))
  })

  await t.test('a request that goes on with a session of an earlier one names it', () => {
    const [session] = below(ofChat)
    const again = requests.find((span) => span.name === ofChat.name && span !== ofChat && span.links?.length === 1)
    assert.ok(again !== undefined, 'the request whose header is none has a trace of its own')
    assert.equal(again.parentSpanId, undefined)
    assert.deepEqual(
      again.links!.map(({ traceId, spanId }) => [traceId, spanId]),
      [[session!.traceId, session!.spanId]],
    )
  })

  await t.test("a pass lies below its request, and the server's part of it below the pass", () => {
    const request = requests.find(({ name }) => name === 'POST /v1/embeddings')!
    const passes = below(request)
    assert.deepEqual(
      passes.map(({ name, attributes }) => `${name} ${valuesOf(attributes)['petals.blocks']}`),
      ['forward 0:4', 'forward 4:8'],
    )
    for (const pass of passes) {
      const served = below(pass).map(({ name, traceId }) => [name, traceId])
      assert.deepEqual(served, [['forward', request.traceId]])
    }
  })

  await t.test('a caller that keeps no spans gets none, here and on the servers', () => {
    assert.deepEqual(
      got.filter(({ traceId }) => traceId === unkept.traceId),
      [],
    )
    assert.ok(requests.every(({ name }) => name !== 'POST /v1/completions'))
    const known = new Set([caller.spanId, undefined, ...got.map(({ spanId }) => spanId)])
    const lost = got.filter(({ parentSpanId }) => !known.has(parentSpanId))
    assert.deepEqual(lost, [], 'spans below one that is not kept')
  })

  await t.test('nothing of what was asked, and no key, is in a span; a path that is not there has no route', () => {
    const text = JSON.stringify(got)
    for (const secret of SECRETS) {
      assert.ok(!text.includes(secret), secret)
      assert.ok(!text.includes(encodeURIComponent(secret)), secret)
    }
    const refused = requests.filter(({ attributes }) => valuesOf(attributes)['http.response.status_code'] === 404)
    assert.deepEqual(
      refused.map(({ name, attributes }) => [name, valuesOf(attributes)['gen_ai.request.model']]),
      [
        ['POST /v1/chat/completions', undefined],
        ['GET', undefined],
      ],
    )
  })
})
