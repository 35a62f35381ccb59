import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextRtts } from '../../../src/server/announce/next-rtts.ts'
import { recordOf } from '../../swarm/kit.ts'

test('round trips are told of servers that may come next, and unknown ones are dialled for the next time', () => {
  const rtts: Record<string, number> = { after: 12, within: 7, before: 3 }
  const dialled: string[] = []
  const node = {
    peerId: 'me',
    connections: { rttMs: (peerId: string) => rtts[peerId], has: (peerId: string) => peerId in rtts },
    dial: async ({ peerId }: { peerId: string }) => void dialled.push(peerId),
  }
  const records = [
    recordOf('me', { start: 2, end: 4 }),
    recordOf('after', { start: 4, end: 6 }),
    recordOf('within', { start: 3, end: 4 }),
    recordOf('before', { start: 0, end: 2 }),
    recordOf('unknown', { start: 4, end: 5 }),
    recordOf('joining', { start: 4, end: 5, state: 'JOINING' }),
  ]
  assert.deepEqual(nextRtts(node, records, { start: 2, end: 4 }), { after: 12, within: 7 })
  assert.deepEqual(dialled, ['unknown'])
  const many = Array.from({ length: 40 }, (_, i) => recordOf(`peer ${i}`, { start: 4, end: 6 }))
  const connected = { ...node, connections: { rttMs: () => 1, has: () => true } }
  assert.equal(Object.keys(nextRtts(connected, many, { start: 2, end: 4 })).length, 5)
})
