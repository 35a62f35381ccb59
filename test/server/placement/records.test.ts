import assert from 'node:assert/strict'
import { test } from 'node:test'
import { intendedPlacements, type PlacedRecord } from '../../../src/server/placement/records.ts'

const record = (peerId: string, fields: Partial<PlacedRecord> = {}): PlacedRecord => ({
  peerId,
  state: 'ONLINE',
  start: 0,
  end: 4,
  throughput: 10,
  movable: true,
  ...fields,
})

const placesOf = (records: PlacedRecord[], afterIntent = false) =>
  intendedPlacements(records, 'm', afterIntent).map(
    ({ peerId, start, throughput }) => `${peerId}@${start}x${throughput}`,
  )

test('servers count where they stand or will stand; those that leave do not', () => {
  assert.deepEqual(
    placesOf([
      record('a'),
      record('b', { state: 'JOINING', start: 4, end: 8 }),
      record('c', { state: 'DRAINING' }),
      record('d', { state: 'DRAINING', movingTo: 4 }),
      record('e', { movingTo: 2 }),
      record('f', { state: 'OFFLINE' }),
    ]),
    ['a@0x10', 'b@4x10', 'd@4x10', 'e@2x10'],
  )
})

test('a throughput that is not known yet is the median of the others', () => {
  assert.deepEqual(placesOf([record('a', { throughput: 0 }), record('b'), record('c', { throughput: 30 })]), [
    'a@0x10',
    'b@0x10',
    'c@0x30',
  ])
})

test('nobody counts for more than ten times the median', () => {
  assert.deepEqual(placesOf([record('a', { throughput: 1e9 }), record('b'), record('c')]), [
    'a@0x100',
    'b@0x10',
    'c@0x10',
  ])
})

test('of two that are about to move, the one with the smaller id overlooks the other', () => {
  const records = [
    record('a', { movingTo: 4 }),
    record('m', { movingTo: 4 }),
    record('z', { movingTo: 4 }),
    record('zz', { state: 'JOINING', movingTo: 2, start: 2, end: 6 }),
    record('zzz', { state: 'DRAINING', movingTo: 4 }),
  ]
  assert.deepEqual(placesOf(records, true), ['a@4x10', 'm@0x10', 'z@0x10', 'zzz@4x10'])
})
