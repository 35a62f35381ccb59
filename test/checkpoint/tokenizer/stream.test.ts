import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advance, rest, STREAM_START } from '../../../src/checkpoint/tokenizer/stream.ts'
import { seededRandom } from '../write.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** A tokenizer whose ids are bytes. */
const decodeBytes = (ids: readonly number[]) => decoder.decode(Uint8Array.from(ids))

/** Words that lose the space before the first one, as SentencePiece decodes. */
const WORDS = ['\u2581The', '\u2581', 'a', '\u2581cat', ',', '\u2581\u2581']
const decodeWords = (ids: readonly number[]) =>
  ids
    .map((id) => WORDS[id])
    .join('')
    .replaceAll('\u2581', ' ')
    .replace(/^ /, '')

function pieces(decode: (ids: readonly number[]) => string, groups: readonly (readonly number[])[]) {
  let state = STREAM_START
  let longestTail = 0
  const out = groups.map((ids) => {
    const step = advance(
      (tail) => {
        longestTail = Math.max(longestTail, tail.length)
        return decode(tail)
      },
      state,
      ids,
    )
    state = step.state
    return step.piece
  })
  return { out: [...out, rest(decode, state)], longestTail }
}

const one = (ids: readonly number[]) => ids.map((id) => [id])

test('characters of several bytes come out whole, one by one', () => {
  const { out } = pieces(decodeBytes, one([...Buffer.from('aé世🎉!')]))
  assert.deepEqual(
    out.filter((piece) => piece !== ''),
    ['a', 'é', '世', '🎉', '!'],
  )
})

test('an incomplete character at the end comes out with the rest', () => {
  const bytes = [...Buffer.from('x🎉')].slice(0, -1)
  assert.deepEqual(pieces(decodeBytes, one(bytes)).out, ['x', '', '', '', '\uFFFD'])
})

test('a real replacement character is kept', () => {
  assert.equal(pieces(decodeBytes, one([...Buffer.from('a\uFFFDb\uFFFD')])).out.join(''), 'a\uFFFDb\uFFFD')
})

test('random bytes in random groups join to the whole, and the tail stays short', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 60; round++) {
    const ascii = round % 3 === 0
    const groups = Array.from({ length: 150 }, () =>
      Array.from({ length: Math.floor(random() * 4) }, () =>
        ascii && random() < 0.5 ? 97 : 0x80 + Math.floor(random() * 0x80),
      ),
    )
    const { out, longestTail } = pieces(decodeBytes, groups)
    assert.equal(out.join(''), decodeBytes(groups.flat()))
    assert.ok(longestTail < 80, `${longestTail}`)
  }
})

test('a thousand bad bytes in a row neither block nor grow', () => {
  const bytes = Array.from({ length: 1000 }, () => 0x80)
  const { out, longestTail } = pieces(decodeBytes, one(bytes))
  assert.equal(out.join(''), '\uFFFD'.repeat(1000))
  assert.ok(longestTail <= 65)
})

test('spaces that depend on the token before are those of the whole', () => {
  const random = seededRandom(11)
  for (let round = 0; round < 200; round++) {
    const ids = Array.from({ length: 12 }, () => Math.floor(random() * WORDS.length))
    assert.equal(pieces(decodeWords, one(ids)).out.join(''), decodeWords(ids))
  }
})
