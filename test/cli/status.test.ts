import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { renderFrame } from '../../src/cli/commands/status/frame.ts'
import { modelStatus } from '../../src/swarm/status/model-status.ts'
import { renderStatus } from '../../src/cli/commands/status/render.ts'
import { splitEvenly } from '../../src/cli/values/span.ts'
import { recordOf } from '../swarm/kit.ts'

const NOW = 1_800_000_000_000
const KEY = 'llama-12x64-0123456789abcdef'

test('a table tells who holds what and names the holes', () => {
  const record = recordOf('12D3KooWabcdefgh', {
    start: 0,
    end: 4,
    publicName: 'ada',
    reachable: false,
    issuedAt: NOW,
    expiresAt: NOW + 41_000,
  })
  const roundTrips = new Map([[record.peerId, 12.34]])
  assert.deepEqual(renderStatus([modelStatus(KEY, 6, [record], { roundTrips })], NOW).split('\n'), [
    `${KEY}, 6 blocks, 1 server`,
    'PEER       STATE   BLOCKS  COMPUTES IN  TOKENS/S  QUEUE  CACHE FREE  RTT      REACHED  VERSION  EXPIRES IN  NAME',
    '…abcdefgh  ONLINE  0:4     cpu float32  12.5      0.2 s  900/1000    12.3 ms  no       0.1.0    41 s        ada',
    'holders of blocks 0:6  1111··',
    'missing: 4:6 (no server is ONLINE with them)',
    '',
  ])
})

test('a server that does not answer holds nothing, whatever its record says', () => {
  const status = modelStatus(KEY, 2, [recordOf('12D3KooWabcdefgh', { start: 0, end: 2 })], {
    silent: new Set(['12D3KooWabcdefgh']),
  })
  assert.deepEqual(status.missing, ['0:2'])
  assert.match(renderStatus([status], NOW), /…abcdefgh {2}NO ANSWER {2}0:2/)
})

const ESCAPE = '\u001B'

/** The parts of a text that are red. */
function inRed(text: string): string[] {
  return text
    .split(`${ESCAPE}[31m`)
    .slice(1)
    .map((part) => part.split(ESCAPE, 1)[0]!)
}

test('holes, silent servers and a clock that is off are red where colours are shown, and nowhere else', (t) => {
  const colour = process.env['FORCE_COLOR']
  t.after(() => {
    if (colour === undefined) delete process.env['FORCE_COLOR']
    else process.env['FORCE_COLOR'] = colour
  })
  const records = [recordOf('12D3KooWabcdefgh', { end: 4 }), recordOf('12D3KooWijklmnop', { start: 1, end: 5 })]
  const status = modelStatus(KEY, 6, records, { silent: new Set(['12D3KooWijklmnop']) })
  const clock = { whose: 'own', aheadMs: 600_000, peerIds: ['a', 'b'], numPeers: 2 } as const
  const size = { columns: 60, rows: 20, now: new Date() }
  const render = (value: string) => {
    process.env['FORCE_COLOR'] = value
    return [renderStatus([status], NOW, clock), renderFrame([status], size, clock).join('\n')]
  }
  const [plain, coloured] = [render('0'), render('1')]
  assert.ok(plain.every((text) => !text.includes('\u001B')))
  assert.deepEqual(coloured.map(stripVTControlCharacters), plain)
  const [table, frame] = coloured.map(inRed) as [string[], string[]]
  for (const part of [/^warning: the clock of this machine is 600 s behind/, /NO ANSWER/, /^··$/, /^missing: 4:6/])
    assert.ok(
      table.some((red) => part.test(red)),
      String(part),
    )
  for (const part of [/^warning: the clock/, /missing 4:6$/, /^··$/])
    assert.ok(
      frame.some((red) => part.test(red)),
      String(part),
    )
})

test('a swarm without servers says how to serve', () => {
  assert.match(renderStatus([], NOW), /petals-node serve --bootstrap/)
  assert.match(renderStatus([modelStatus(KEY, 12, [])], NOW), /nobody serves this model[^]*missing: 0:12/)
})

test('blocks are split so that spans differ by one at most', () => {
  assert.deepEqual(splitEvenly(8, 3), [
    [0, 2],
    [2, 5],
    [5, 8],
  ])
  assert.deepEqual(splitEvenly(2, 2), [
    [0, 1],
    [1, 2],
  ])
})
