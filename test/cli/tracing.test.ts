import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { TraceExport } from '../../src/api/trace-export.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { type Ended, start } from './kit.ts'

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number; readonly doubleValue?: number }
}

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
  readonly events: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[]
}

/** The JSON form of OTLP's ExportTraceServiceRequest. */
interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[]
}

/** A collector that keeps what it is sent. */
async function collect(t: TestContext, answer: 'takes' | 'hangs' = 'takes'): Promise<{ url: string; got: Span[] }> {
  const got: Span[] = []
  const server: Server = createServer(async (request, response) => {
    assert.equal(request.url, '/v1/traces')
    const { resourceSpans } = JSON.parse(await text(request)) as Export
    got.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)))
    if (answer === 'takes') response.setHeader('content-type', 'application/json').end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, got }
}

/** Variables for this process and all that it starts, until the test ends. */
function setVariables(t: TestContext, variables: Record<string, string>): void {
  Object.assign(process.env, variables)
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name]
  })
}

/** Two servers of four blocks each. */
async function startSwarm(t: TestContext): Promise<LocalSwarm> {
  const spans = [
    [0, 4],
    [4, 8],
  ] as const
  const swarm = await startLocalSwarm({ model: BUNDLED_MODEL, spans, bootstrap: false, threads: 1 })
  t.after(() => swarm.stop())
  return swarm
}

async function generate(t: TestContext, { bootstrap }: LocalSwarm): Promise<Ended> {
  const args = ['generate', 'Fellow-citizens', '--bootstrap', bootstrap, '--threads', '1', '--max-new-tokens', '4']
  const { ended, out } = start(t, args)
  const code = await ended
  assert.equal(code, 0, out.stderr)
  return { code, ...out }
}

function valuesOf(attributes: readonly Attribute[]): Record<string, string | number | undefined> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.doubleValue]),
  )
}

test("a session and its steps on two servers are one trace, below the client's span", async (t) => {
  const { url, got } = await collect(t)
  // They are sent when a node stops, and no sooner.
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '600000' })
  const swarm = await startSwarm(t)
  await generate(t, swarm)
  const [session, ...others] = got
  assert.equal(session!.name, 'session')
  assert.deepEqual(others, [])
  assert.equal(session!.parentSpanId, undefined)
  assert.equal(session!.traceId, `${'0'.repeat(16)}${session!.spanId}`)
  const [first, second] = swarm.servers.map(({ peerId }) => peerId)
  const { name, attributes } = session!.events[0]!
  assert.deepEqual([name, valuesOf(attributes)], ['route', { 'petals.route': `0:4 ${first}, 4:8 ${second}` }])

  await swarm.stop()
  const { 'petals.position': tokens } = valuesOf(session!.attributes)
  for (const [server, blocks] of [
    [first, '0:4'],
    [second, '4:8'],
  ]) {
    const steps = got
      .filter(({ attributes }) => valuesOf(attributes)['petals.server'] === server)
      .toSorted((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
    assert.equal(steps.length, 4, 'the prompt, and each token but the last')
    let position = 0
    for (const step of steps) {
      assert.deepEqual([step.name, step.traceId, step.parentSpanId], ['step', session!.traceId, session!.spanId])
      assert.ok(BigInt(step.endTimeUnixNano) >= BigInt(step.startTimeUnixNano))
      const { 'petals.waited_seconds': waited, ...values } = valuesOf(step.attributes)
      assert.ok(Number(waited) >= 0)
      const stepTokens = Number(values['petals.tokens'])
      assert.deepEqual(values, {
        'petals.server': server,
        'petals.blocks': blocks,
        'petals.tokens': stepTokens,
        'petals.position': position,
      })
      position += stepTokens
    }
    assert.equal(position, tokens)
  }
  assert.equal(new Set(got.map(({ spanId }) => spanId)).size, 9)
})

test('passes are traces as well, each request to a server with its span on that server', async (t) => {
  const { url, got } = await collect(t)
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url })
  const swarm = await startSwarm(t)
  const tracing = new TraceExport(pino({ level: 'silent' }))
  const bootstrap = [swarm.bootstrap]
  await using model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, { bootstrap, tracing })
  const hidden = await model.embed([[5, 6, 7]])
  await model.layers.forward(hidden)
  await model.layers.backward(hidden, hidden)
  await tracing.stop()
  const asked = got.splice(0)
  await swarm.stop()
  const kinds = asked.map(({ name, attributes }) => `${name} ${valuesOf(attributes)['petals.blocks']}`)
  assert.deepEqual(new Set(kinds), new Set(['forward 0:4', 'forward 4:8', 'backward 0:4', 'backward 4:8']))
  assert.equal(got.length, asked.length)
  for (const { name, traceId, spanId, attributes } of asked) {
    const served = got.filter((span) => span.traceId === traceId)
    assert.deepEqual(
      served.map(({ name, parentSpanId, attributes }) => ({ name, parentSpanId, ...valuesOf(attributes) })),
      [{ name, parentSpanId: spanId, ...valuesOf(attributes) }],
    )
    assert.equal(valuesOf(attributes)['petals.tokens'], 3)
  }
})

test('the sampler leaves out all spans of a request, on all nodes', async (t) => {
  const { url, got } = await collect(t)
  setVariables(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0',
  })
  const swarm = await startSwarm(t)
  await generate(t, swarm)
  await swarm.stop()
  assert.deepEqual(got, [])
})

test('an endpoint that is not there, or does not answer, costs a warning; without one nothing is sent', async (t) => {
  const swarm = await startSwarm(t)
  const { url, got } = await collect(t, 'hangs')
  const { stdout } = await generate(t, swarm)
  assert.deepEqual(got, [])
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url })
  const hanging = await generate(t, swarm)
  assert.equal(hanging.stdout, stdout)
  assert.equal(got.length, 1)
  assert.match(hanging.stderr, /the OpenTelemetry endpoint/)
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
  const refused = await generate(t, swarm)
  assert.equal(refused.stdout, stdout)
  assert.match(refused.stderr, /the OpenTelemetry endpoint/)
})
