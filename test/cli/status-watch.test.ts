import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesBetween } from '../../src/cli/commands/status/changes.ts'
import { renderFrame } from '../../src/cli/commands/status/frame.ts'
import { modelStatus } from '../../src/swarm/status/model-status.ts'
import { recordOf } from '../swarm/kit.ts'
import { LOOPBACK, start, until } from './kit.ts'

const KEY = 'llama-6x64-0123456789abcdef'
const NOW = new Date('2026-01-02T03:04:05')
const ADA = recordOf('12D3KooWabcdefgh', { start: 0, end: 4, publicName: 'ada', reachable: true })
const BOB = recordOf('12D3KooWijklmnop', { start: 2, end: 6, state: 'JOINING', throughput: 0 })

test('a frame is a map of blocks per server, with their figures', () => {
  const status = modelStatus(KEY, 6, [ADA, BOB], { roundTrips: new Map([[ADA.peerId, 7.1]]) })
  assert.deepEqual(renderFrame([status], { columns: 80, rows: 20, now: NOW }), [
    '03:04:05  1 model, 2 servers  (q leaves)',
    '',
    `${KEY}: 6 blocks, missing 4:6`,
    'SERVER      STATE     BLOCKS  MAP      TOKENS/S QUEUE CACHE    RTT REACH VERSION',
    'ada         ONLINE    0:4     ████··         13  0.2s   10%   7 ms   yes   0.1.0',
    '…ijklmnop   JOINING   2:6     ··▒▒▒▒          -  0.2s   10%      -     -   0.1.0',
    '            holders   0:6     1111··',
    '',
  ])
})

test('a frame fits into its window: several blocks to a character, lines left out with a word', () => {
  const wide = modelStatus('llama-100x64-0123456789abcdef', 100, [recordOf('12D3KooWabcdefgh', { start: 0, end: 50 })])
  const lines = renderFrame([wide], { columns: 80, rows: 5, now: NOW })
  assert.match(lines[4]!, /^\.\.\. \d+ lines more: make the window higher$/)
  const map = renderFrame([wide], { columns: 80, rows: 20, now: NOW })[4]!
  assert.equal(map.match(/█+/)![0].length, map.match(/·+/)![0].length)
  assert.ok(map.length <= 80)
  assert.match(renderFrame([], { columns: 80, rows: 20, now: NOW }).join('\n'), /nobody serves anything here yet/)
})

test('what a server does is told once, and that it is gone', () => {
  const models = (...records: ReturnType<typeof recordOf>[]) => [modelStatus(KEY, 6, records)]
  assert.deepEqual(changesBetween([], models(ADA)), [`${KEY} ada ONLINE 0:4 cpu float32 v0.1.0`])
  assert.deepEqual(changesBetween(models(ADA), models({ ...ADA, cacheTokensLeft: 1, throughput: 3 })), [])
  assert.deepEqual(changesBetween(models(ADA), models(BOB)), [
    `${KEY} ada gone`,
    `${KEY} …ijklmnop JOINING 2:6 cpu float32 v0.1.0`,
  ])
  assert.deepEqual(changesBetween(models(ADA), [modelStatus(KEY, 6, [ADA], { silent: new Set([ADA.peerId]) })]), [
    `${KEY} ada NO ANSWER 0:4 cpu float32 v0.1.0`,
  ])
})

test('without a terminal a watch writes a line for each change, from gossip at once', async (t) => {
  const bootstrap = start(t, ['bootstrap', ...LOOPBACK])
  const address = await until('the address', () => /^\S+\/p2p\/\w+\n/.exec(bootstrap.out.stdout)?.[0].trim())
  const watch = start(t, ['status', '--watch', '--bootstrap', address])
  const server = start(t, [
    'serve',
    ...LOOPBACK,
    '--threads',
    '1',
    '--attn-cache-tokens',
    '2048',
    '--public-name',
    'eve',
    '--bootstrap',
    address,
  ])
  await until('ONLINE', () => /\S+Z llama-\S+ eve ONLINE 0:8 cpu float32 v\S+\n/.test(watch.out.stdout), 40_000)
  server.child.kill('SIGTERM')
  assert.equal(await server.ended, 0, server.out.stderr)
  await until('gone', () => / eve gone\n/.test(watch.out.stdout))
  watch.child.kill('SIGINT')
  assert.equal(await watch.ended, 0, watch.out.stderr)
  assert.ok(!watch.out.stdout.includes('\x1b'))
})
