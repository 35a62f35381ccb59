import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/sampling/random.ts'
import { StopStringFilter } from '../../../../src/client/generation/text/stop-strings.ts'

/** Pushes the pieces one by one; what came out after each, and of the flush at the end. */
function run(stops: readonly string[], pieces: readonly string[]): { out: string[]; stopped: boolean } {
  const filter = new StopStringFilter(stops)
  const results = pieces.map((piece) => filter.push(piece))
  return {
    out: [...results.map(({ text }) => text), filter.flush()],
    stopped: results.some(({ stop }) => stop !== undefined),
  }
}

const CASES: [what: string, stops: string[], pieces: string[], out: string[], stopped: boolean][] = [
  ['no stop strings', [], ['a', 'b'], ['a', 'b', ''], false],
  ['within a piece', ['STOP'], ['one STOP two'], ['one ', ''], true],
  ['across pieces', ['STOP'], ['one S', 'TO', 'P two'], ['one ', '', '', ''], true],
  ['a beginning that goes on otherwise', ['STOP'], ['a ST', 'AR', 'S'], ['a ', 'STAR', '', 'S'], false],
  ['a beginning within a beginning', ['aab'], ['a', 'a', 'a', 'b'], ['', '', 'a', '', ''], true],
  ['the end of the text is held back no longer', ['\n\n'], ['x\n'], ['x', '\n'], false],
  ['the one that is complete first', ['abcd', 'bc'], ['abcd'], ['a', ''], true],
  ['the longest of those that end together', ['c', 'abc', 'bc'], ['xabc'], ['x', ''], true],
  ['one that another begins with', ['ab', 'abc'], ['abc'], ['', ''], true],
  ['at the very beginning', ['<'], ['<b>'], ['', ''], true],
  ['nothing after the stop', ['.'], ['a.b', 'c', '.'], ['a', '', '', ''], true],
  ['characters of two code units', ['🎉🎊'], ['x🎉', '🎉', '🎊'], ['x', '🎉', '', ''], true],
]

for (const [what, stops, pieces, out, stopped] of CASES) {
  test(`stop strings: ${what}`, () => assert.deepEqual(run(stops, pieces), { out, stopped }))
}

/** The text, read character by character until one of the stop strings is at its end. */
function cut(text: string, stops: readonly string[]): { text: string; stop: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const [stop] = stops.filter((each) => text.slice(0, end).endsWith(each)).toSorted((a, b) => b.length - a.length)
    if (stop !== undefined) return { text: text.slice(0, end - stop.length), stop }
  }
  return { text, stop: undefined }
}

/** How much of a text without stop strings may be shown: up to where one may have begun. */
function showable(text: string, stops: readonly string[]): number {
  let length = 0
  while (length < text.length && !stops.some((stop) => stop.startsWith(text.slice(length)))) length++
  return length
}

test('random texts in random pieces come out as the whole text cut, and never too early or too late', () => {
  const random = seededRandom(2024)
  const below = (limit: number): number => Math.floor(random() * limit)
  const word = (length: number): string => Array.from({ length }, () => 'ab.'[below(3)]).join('')
  let stops = 0
  for (let round = 0; round < 5000; round++) {
    const stopStrings = Array.from({ length: below(4) }, () => word(1 + below(5)))
    const filter = new StopStringFilter(stopStrings)
    let pushed = ''
    let shown = ''
    let stop: string | undefined
    while (pushed.length < 25 && stop === undefined) {
      const piece = word(below(5))
      pushed += piece
      const result = filter.push(piece)
      shown += result.text
      stop = result.stop
      if (stop === undefined)
        assert.equal(shown.length, showable(pushed, stopStrings), JSON.stringify({ pushed, stopStrings }))
    }
    shown += filter.flush()
    assert.deepEqual({ text: shown, stop }, cut(pushed, stopStrings), JSON.stringify({ pushed, stopStrings }))
    if (stop !== undefined) stops++
  }
  assert.ok(stops > 1000 && stops < 4900, `${stops} of 5000 rounds met a stop string`)
})
