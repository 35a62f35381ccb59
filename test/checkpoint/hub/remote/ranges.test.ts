import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProgressMeter, type DownloadProgress, TransferRate } from '../../../../src/checkpoint/hub/download/progress.ts'
import { planRuns } from '../../../../src/checkpoint/hub/remote/ranges.ts'

const MB = 1 << 20

function runs(...pieces: [start: number, end: number, have?: number][]): [number, number][] {
  return planRuns(pieces.map(([start, end, have = 0]) => ({ start, end, have }))).map(({ start, end }) => [start, end])
}

test('neighbours and near neighbours are one request', () => {
  assert.deepEqual(runs([10, 20], [0, 10], [30, 40]), [[0, 40]])
  assert.deepEqual(runs([0, 10], [MB + 9, 2 * MB]), [[0, 2 * MB]])
  assert.deepEqual(runs([0, 10], [MB + 10, 2 * MB]), [
    [0, 10],
    [MB + 10, 2 * MB],
  ])
})

test('no request grows beyond 64 MB but for one tensor', () => {
  assert.deepEqual(runs([0, 40 * MB], [40 * MB, 64 * MB], [64 * MB, 65 * MB]), [
    [0, 64 * MB],
    [64 * MB, 65 * MB],
  ])
  assert.deepEqual(runs([0, 200 * MB]), [[0, 200 * MB]])
})

test('what is there is not asked for again, not even as a gap', () => {
  assert.deepEqual(runs([0, 100, 100], [100, 200, 30], [200, 300]), [[130, 300]])
  assert.deepEqual(runs([0, 100], [100, 200, 100], [200, 300]), [
    [0, 100],
    [200, 300],
  ])
  assert.deepEqual(runs([0, 100], [100, 200, 50]), [
    [0, 100],
    [150, 200],
  ])
  assert.deepEqual(runs([0, 100, 100]), [])
})

test('the rate is that of the last seconds, and tells the time left', () => {
  const rate = new TransferRate()
  const at = (seconds: number, bytes: number) =>
    rate.add({ file: 'a', bytes, downloadedBytes: bytes, totalBytes: 1000 }, seconds * 1000)
  at(0, 0)
  assert.equal(rate.bytesPerSecond, undefined)
  assert.equal(rate.secondsLeft, undefined)
  at(1, 10)
  assert.equal(rate.bytesPerSecond, 10)
  assert.equal(rate.secondsLeft, 99)
  for (let second = 12; second <= 23; second++) at(second, 10 + (second - 12) * 20)
  assert.equal(rate.bytesPerSecond, 20)
})

test('progress is reported now and then, and at its end', () => {
  const events: DownloadProgress[] = []
  const meter = new ProgressMeter(1000, (progress) => events.push(progress))
  meter.found('a', 100)
  for (let i = 0; i < 900; i++) meter.downloaded('b', 1)
  assert.ok(events.length < 20)
  assert.deepEqual(events.at(-1), { file: 'b', bytes: 1000, totalBytes: 1000, downloadedBytes: 900 })
})
