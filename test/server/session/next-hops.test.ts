import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NextHops } from '../../../src/server/session/next-hops.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'
import { recordOf } from '../../swarm/kit.ts'

function hopsAmong(
  records: Map<string, ServerRecord>,
  { onRefresh = () => undefined, connected = [] as string[] } = {},
): NextHops {
  return new NextHops({
    isConnected: (peerId) => connected.includes(peerId),
    directory: { get: (peerId) => records.get(peerId) },
    refresh: async () => onRefresh(),
  })
}

test("the addresses are those of the peer's own record and not the client's", async () => {
  const hops = hopsAmong(new Map([['peer', recordOf('peer', { multiaddrs: ['/ip4/10.0.0.1/tcp/1'] })]]))
  assert.deepEqual(await hops.admit('peer', 'client'), { peerId: 'peer', multiaddrs: ['/ip4/10.0.0.1/tcp/1'] })
})

test('a peer that is connected needs no address', async () => {
  assert.deepEqual(await hopsAmong(new Map(), { connected: ['peer'] }).admit('peer', 'client'), {
    peerId: 'peer',
    multiaddrs: [],
  })
})

test('a server that has just joined is asked for; one that nobody knows is not dialled', async () => {
  const records = new Map<string, ServerRecord>()
  const hops = hopsAmong(records, {
    onRefresh: () => {
      records.set('new', recordOf('new'))
    },
  })
  assert.equal((await hops.admit('new', 'client')).peerId, 'new')
  await assert.rejects(hops.admit('stranger', 'client'), { code: 'HOP_UNKNOWN' })
})

test('one client cannot make a server dial without end, and others still can', async () => {
  const hops = hopsAmong(new Map([['peer', recordOf('peer')]]))
  for (let i = 0; i < 60; i++) await hops.admit('peer', 'greedy')
  await assert.rejects(hops.admit('peer', 'greedy'), { code: 'SWARM_BUSY' })
  assert.equal((await hops.admit('peer', 'modest')).peerId, 'peer')
})

test('a server that has said that it is OFFLINE is not dialled', async () => {
  const hops = hopsAmong(new Map([['peer', recordOf('peer', { state: 'OFFLINE' })]]))
  await assert.rejects(hops.admit('peer', 'client'), { code: 'HOP_UNKNOWN' })
})
