import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BlockReader } from '../../../../src/api/pages/browser/chat/view/text-blocks.ts'
import { LONG_CODE, RICH_ANSWER } from '../../../browser/texts.ts'

/** What is easily read otherwise while its end is missing. */
const TRICKY = [
  'A line\nthat becomes a heading\n===',
  '- one\n- two\n\n  still two\n\n- three\n\nno list any more\n\n1. a\n2. b',
  '```js\nunclosed\n\n\n# no heading\n```\n\n~~~\n```\n~~~',
  '> quoted\nlazily\n\nnot quoted\r\n\r\na | b\r\n--|--\r\n1 | 2\r\n\r\nend',
  '* * *\n\n<div>\n\nhtml\n\n</div>\n\n    code by indent\n\n    goes on',
]

test('a text that grows piece by piece is divided as it is when it is whole', () => {
  for (const text of [RICH_ANSWER, LONG_CODE, ...TRICKY, [RICH_ANSWER, ...TRICKY, RICH_ANSWER].join('\n\n')]) {
    const whole = new BlockReader().read(text, true).map(({ source }) => source)
    for (const size of [1, 3, 17]) {
      const reader = new BlockReader()
      let sources: string[] = []
      for (let end = size; end < text.length + size; end += size)
        sources = reader.read(text.slice(0, end), false).map(({ source }) => source)
      assert.deepEqual(sources, whole, `pieces of ${size}`)
    }
  }
})

test('a text that is another one than before is read anew, and a complete one with what it refers to', () => {
  const reader = new BlockReader()
  reader.read('one\n\ntwo\n\nthree\n\nfour\n\nfive', false)
  assert.deepEqual(
    reader.read('uno\n\ntwo', false).map(({ source }) => source),
    ['uno', 'two'],
  )
  const [block] = reader.read('see [a]\n\n[a]: https://example.org', true)
  assert.match(JSON.stringify(block), /"href":"https:\/\/example.org"/)
})
