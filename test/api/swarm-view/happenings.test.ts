import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HappeningLog, newsBetween } from '../../../src/api/swarm-view/happenings.ts'
import { modelSnapshot } from '../../../src/api/swarm-view/model-snapshot.ts'
import type { ModelSnapshot } from '../../../src/api/swarm-view/snapshot.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'
import { modelStatus } from '../../../src/swarm/status/model-status.ts'
import { recordOf } from '../../swarm/kit.ts'

const ADA = recordOf('ada-peer', { start: 0, end: 4, publicName: 'ada', throughput: 100 })
const BERT = recordOf('bert-peer', { start: 2, end: 6, publicName: 'bert', throughput: 50 })

function look(records: readonly ServerRecord[], silent: readonly string[] = []): ModelSnapshot {
  const status = modelStatus('key', 6, records, {
    silent: new Set(silent),
    roundTrips: new Map([['ada-peer', 4.56]]),
  })
  return modelSnapshot({ id: 'demo', status, ownPeerId: 'bert-peer', avoided: new Set(['ada-peer']) })
}

test('a snapshot tells which blocks who holds, and how fast all holders of a block are together', () => {
  const { servers, rates, holders, missing } = look([BERT, ADA])
  assert.deepEqual(rates, [100, 100, 150, 150, 50, 50])
  assert.deepEqual(holders, [1, 1, 2, 2, 1, 1])
  assert.deepEqual(missing, [])
  assert.deepEqual(
    servers.map(({ name, isOwn, isAvoided, roundTripMs }) => [name, isOwn, isAvoided, roundTripMs]),
    [
      ['ada', false, true, 4.6],
      ['bert', true, false, undefined],
    ],
  )
  const silent = look([BERT, ADA], ['bert-peer'])
  assert.deepEqual(silent.rates, [100, 100, 100, 100, 0, 0])
  assert.deepEqual(silent.missing, ['4:6'])
  // No address, no key and no signature of a record is told.
  assert.doesNotMatch(JSON.stringify(silent), /multiaddr|sequence|expires|digest/i)
})

test('what changes between two looks is told, each change once', () => {
  const both = look([ADA, BERT])
  assert.deepEqual(newsBetween(both, both), [])
  assert.deepEqual(newsBetween(both, look([{ ...ADA, cacheTokensLeft: 1, queueMs: 9 }, BERT])), [])
  assert.deepEqual(kinds(look([ADA]), both), [
    ['joined', 'bert'],
    ['covered', { kind: 'covered', blocks: '4:6' }],
  ])
  const silent = look([ADA, BERT], ['bert-peer'])
  assert.deepEqual(kinds(both, silent), [
    ['vanished', 'bert'],
    ['uncovered', { kind: 'uncovered', blocks: '4:6' }],
  ])
  // Its record runs out later.
  assert.deepEqual(kinds(silent, look([ADA])), [])
  assert.deepEqual(kinds(silent, both).at(0), ['returned', 'bert'])
  assert.deepEqual(kinds(both, look([ADA])).at(0), ['left', 'bert'])
  assert.deepEqual(newsBetween(both, look([ADA, { ...BERT, start: 3, state: 'DRAINING' }])).slice(0, 2), [
    { kind: 'moved', server: { peerId: 'bert-peer', name: 'bert' }, from: '2:6', blocks: '3:6' },
    { kind: 'state', server: { peerId: 'bert-peer', name: 'bert' }, state: 'DRAINING' },
  ])
})

test('the log keeps the latest, first', () => {
  const log = new HappeningLog()
  for (let i = 0; i < 100; i += 1) log.add('demo', [{ kind: 'waiting', blocks: `${i}:${i + 1}` }], i)
  log.add('demo', [
    { kind: 'uncovered', blocks: 'a' },
    { kind: 'covered', blocks: 'b' },
  ])
  assert.equal(log.latest.length, 60)
  assert.deepEqual(
    log.latest.slice(0, 3).map((each) => ('blocks' in each ? each.blocks : undefined)),
    ['b', 'a', '99:100'],
  )
})

/** The kinds of what happened, with the servers' names; what is about no server as a whole. */
function kinds(before: ModelSnapshot, after: ModelSnapshot): unknown[] {
  return newsBetween(before, after).map((news) => [news.kind, 'server' in news ? news.server.name : news])
}
