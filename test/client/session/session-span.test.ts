import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SpanAttributes } from '../../../src/swarm/node/tracing.ts'
import { TestSwarm, hidden } from './servers.ts'

test("a session's span has its routes, lost servers and repairs as events, and ends with the session", async (t) => {
  const told: [what: string, attributes: SpanAttributes][] = []
  const traces: string[] = []
  const tracing = {
    begin(trace: string, name: string, attributes: SpanAttributes) {
      traces.push(trace)
      told.push([name, attributes])
      return {
        event: (name: string, attributes: SpanAttributes = {}) => told.push([name, attributes]),
        end: (attributes: SpanAttributes = {}) => told.push(['end', attributes]),
      }
    },
    served: () => undefined,
  }
  const swarm = Object.assign(new TestSwarm(t), { tracing })
  const [first, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const session = swarm.session()
  await session.step(hidden([1, 2, 3]))
  swarm.kill(last)
  await session.step(hidden([4]))
  await session.close()
  await session.close()
  assert.deepEqual(traces, [session.trace])
  const recovery = told.find(([name]) => name === 'recovery')?.[1]
  const seconds = recovery?.['petals.seconds']
  assert.ok(typeof seconds === 'number' && seconds >= 0)
  const lost = told.filter(([name]) => name === 'lost')
  assert.equal(lost.length, 1)
  assert.match(String(lost[0]![1]['error.type']), /^[A-Z_]+$/)
  assert.deepEqual(
    told.filter(([name]) => name !== 'lost'),
    [
      ['session', { 'petals.blocks': '0:6' }],
      ['route', { 'petals.route': `0:3 ${first.id}, 3:6 ${last.id}` }],
      ['route', { 'petals.route': `0:3 ${first.id}, 3:6 ${spare.id}` }],
      ['recovery', { 'petals.lost': 1, 'petals.seconds': seconds, 'petals.replayed_tokens': 3 }],
      ['end', { 'petals.position': 4, 'petals.replayed_tokens': 3 }],
    ],
  )
})
