import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { TraceExport } from '../../src/api/trace-export.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import type { LocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { type Ended, start } from './kit.ts'
import { collect, ended, setVariables, startSwarm, traced, valuesOf } from './trace-collector.ts'

async function generate(t: TestContext, { bootstrap }: LocalSwarm): Promise<Ended> {
  const args = ['generate', 'Fellow-citizens', '--bootstrap', bootstrap, '--threads', '1', '--max-new-tokens', '4']
  const { ended, out } = start(t, args)
  const code = await ended
  assert.equal(code, 0, out.stderr)
  return { code, ...out }
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
  const swarm = await startSwarm(t, [[0, 8]])
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
