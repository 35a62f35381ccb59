import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { PastedText } from '../../../src/cli/terminal/pasted-text.ts'

/** What readline gets of these chunks. */
async function read(...chunks: string[]): Promise<string> {
  const stream = new PastedText()
  for (const chunk of chunks) stream.write(Buffer.from(chunk, 'latin1'))
  stream.end()
  return text(stream)
}

const PASTE = '\x1b[200~one\r\ntwo\rthree\nfour\x1b[201~'

test('a paste of several lines is one line, however its bytes come', async () => {
  const whole = `a${PASTE}b\r`
  assert.equal(await read(whole), 'aone␊two␊three␊fourb\r')
  for (let cut = 1; cut < whole.length; cut++)
    assert.equal(await read(whole.slice(0, cut), whole.slice(cut)), 'aone␊two␊three␊fourb\r', `cut at ${cut}`)
  assert.equal(await read(...whole), 'aone␊two␊three␊fourb\r', 'byte by byte')
})

test('a paste presses no keys', async () => {
  assert.equal(await read('\x1b[200~a\x03b\x1b[Dc\td\x04\x1b[201~'), 'ab[Dc\td')
})

test('outside of a paste keys stay keys; Alt-Enter and Shift-Enter break a line', async () => {
  assert.equal(await read('x\r\x1b[A\x1b', '\x03'), 'x\r\x1b[A\x1b\x03')
  assert.equal(await read('x\x1b\ry\x1b[13;2uz'), 'x␊y␊z')
})

test('characters of several bytes may be cut', async () => {
  const bytes = Buffer.from('\x1b[200~naïve 你好\x1b[201~')
  const stream = new PastedText()
  for (const byte of bytes) stream.write(Buffer.of(byte))
  stream.end()
  assert.equal(await text(stream), 'naïve 你好')
})
