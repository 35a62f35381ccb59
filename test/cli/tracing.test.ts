import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { TraceExport } from '../../src/api/trace-export.ts'
import type { Span as BlockSpan } from '../../src/base/span.ts'
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

const HALVES = [
  [0, 4],
  [4, 8],
] as const

async function startSwarm(t: TestContext, spans: readonly BlockSpan[] = HALVES): Promise<LocalSwarm> {
  const swarm = await startLocalSwarm({ model: BUNDLED_MODEL, spans, bootstrap: false, threads: 1 })
  t.after(() => swarm.stop())
  return swarm
}

/** A swarm whose servers send what they have when they end, and no sooner, as clients of this process do. */
async function traced(t: TestContext): Promise<{ swarm: LocalSwarm; got: Span[] }> {
  const { url, got } = await collect(t)
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '600000' })
  return { got, swarm: await startSwarm(t) }
}

/** Has all servers end in their own time, so that each sends what it has. */
async function ended({ servers }: LocalSwarm): Promise<void> {
  await Promise.all(
    servers.map(async ({ process: server }) => {
      const exit = once(server, 'exit')
      server.kill('SIGTERM')
      assert.deepEqual(await exit, [0, null])
    }),
  )
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

test("what a client asks of two servers is one trace below the client's span", async (t) => {
  const { got, swarm } = await traced(t)
  await generate(t, swarm)
  const sessions = got.splice(0)
  await passThrough(swarm)
  const passes = got.splice(0)
  await ended(swarm)

  await t.test('a session, with its steps', () => {
    const [session, ...others] = sessions
    assert.equal(session!.name, 'session')
    assert.deepEqual(others, [])
    assert.equal(session!.parentSpanId, undefined)
    assert.equal(session!.traceId, `${'0'.repeat(16)}${session!.spanId}`)
    const [first, second] = swarm.servers.map(({ peerId }) => peerId)
    const { name, attributes } = session!.events[0]!
    assert.deepEqual([name, valuesOf(attributes)], ['route', { 'petals.route': `0:4 ${first}, 4:8 ${second}` }])

    const { 'petals.position': tokens } = valuesOf(session!.attributes)
    const ofSession = got.filter(({ name }) => name === 'step')
    for (const [server, blocks] of [
      [first, '0:4'],
      [second, '4:8'],
    ]) {
      const steps = ofSession
        .filter(({ attributes }) => valuesOf(attributes)['petals.server'] === server)
        .toSorted((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
      assert.equal(steps.length, 4, 'the prompt, and each token but the last')
      let position = 0
      for (const step of steps) {
        assert.deepEqual([step.traceId, step.parentSpanId], [session!.traceId, session!.spanId])
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
    assert.equal(new Set([session!, ...ofSession].map(({ spanId }) => spanId)).size, 9)
  })

  await t.test('passes, each request to a server with its span on that server', () => {
    const kinds = passes.map(({ name, attributes }) => `${name} ${valuesOf(attributes)['petals.blocks']}`)
    assert.deepEqual(new Set(kinds), new Set(['forward 0:4', 'forward 4:8', 'backward 0:4', 'backward 4:8']))
    const ofPasses = got.filter(({ name }) => name !== 'step')
    assert.equal(ofPasses.length, passes.length)
    for (const { name, traceId, spanId, attributes } of passes) {
      const served = ofPasses.filter((span) => span.traceId === traceId)
      assert.deepEqual(
        served.map(({ name, parentSpanId, attributes }) => ({ name, parentSpanId, ...valuesOf(attributes) })),
        [{ name, parentSpanId: spanId, ...valuesOf(attributes) }],
      )
      assert.equal(valuesOf(attributes)['petals.tokens'], 3)
    }
  })
})

/** A forward and a backward pass of this process, whose spans are sent at its end. */
async function passThrough({ bootstrap }: LocalSwarm): Promise<void> {
  const tracing = new TraceExport(pino({ level: 'silent' }))
  const options = { bootstrap: [bootstrap], tracing, threads: 1 }
  await using model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, options)
  const hidden = await model.embed([[5, 6, 7]])
  await model.layers.forward(hidden)
  await model.layers.backward(hidden, hidden)
  await tracing.stop()
}

test('the sampler leaves out all spans of a request, on all nodes', async (t) => {
  const { url, got } = await collect(t)
  setVariables(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0',
  })
  const swarm = await startSwarm(t)
  await generate(t, swarm)
  await ended(swarm)
  assert.deepEqual(got, [])
})

test('an endpoint that is not there, or does not answer, costs a warning; without one nothing is sent', async (t) => {
  const swarm = await startSwarm(t, [[0, 8]])
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
