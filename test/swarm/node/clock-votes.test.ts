import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockVotes, clockText } from '../../../src/swarm/node/clock-votes.ts'

function votes(...aheadSeconds: number[]) {
  const said: unknown[] = []
  const log = (...all: unknown[]) => void said.push(all.at(-1))
  const clocks = new ClockVotes({ debug: log, info: log, warn: log })
  aheadSeconds.forEach((seconds, i) => clocks.observe(`peer${i}`, seconds * 1000))
  return { clocks, said }
}

test('whose clock is off follows from how many agree', () => {
  const cases: [ahead: number[], whose: string | undefined, text: RegExp][] = [
    [[0, 1, -30], undefined, /^$/],
    [[-600], 'unknown', /clock of peer peer0 is 600 s behind that of this machine, and one of the two is off/],
    [[300], 'unknown', /clock of peer peer0 is 300 s ahead of that of this machine/],
    [[-600, 0], 'peer', /clock of peer peer0 is 600 s behind those of this machine and 1 other peer:/],
    [[600, 601], 'own', /clock of this machine is 601 s behind those of 2 of 2 peers/],
    [[-200, -199, -201, 0], 'own', /clock of this machine is 200 s ahead of those of 3 of 4 peers/],
    [[-600, 600], 'unknown', /one of the two is off/],
    [[900, 0, 0, 901], 'peer', /clock of 2 peers \(peer0, ...\) is 901 s ahead/],
  ]
  for (const [ahead, whose, text] of cases) {
    const verdict = votes(...ahead).clocks.verdict()
    assert.equal(verdict?.whose, whose, String(ahead))
    assert.match(verdict === undefined ? '' : clockText(verdict), text)
  }
})

test('a warning is given once for the same verdict, and again when it changes', () => {
  const { clocks, said } = votes(-600)
  for (let i = 0; i < 5; i++) clocks.observe('peer0', -600_000 - i * 1000)
  assert.equal(said.length, 1)
  clocks.observe('peer1', -600_000)
  assert.equal(said.length, 2)
})

test('an old opinion gives way where there are too many', () => {
  const { clocks } = votes(-600)
  for (let i = 1; i <= 64; i++) clocks.observe(`peer${i}`, 0)
  assert.equal(clocks.verdict(), undefined)
})
