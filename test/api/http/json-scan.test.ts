import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonScan } from '../../../src/api/http/json-scan.ts'

/** What is wrong with a text that arrives in pieces of so many bytes. */
function faultOf(text: string, pieceBytes = text.length): string | undefined {
  const bytes = Buffer.from(text)
  const scan = new JsonScan()
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) scan.add(bytes.subarray(at, at + pieceBytes))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const MANY = 1 << 17
const levels = (count: number): string => '['.repeat(count) + ']'.repeat(count)

test('a thousand levels are taken and one more is not, wherever the pieces end', () => {
  for (const pieceBytes of [1, 7, 4096]) {
    assert.equal(faultOf(levels(1000), pieceBytes), undefined)
    assert.match(faultOf(levels(1001), pieceBytes)!, /nested deeper than 1000 levels/)
    assert.equal(faultOf(`[${'{},'.repeat(2000)}{}]`, pieceBytes), undefined, 'side by side')
  }
})

test('what stands within texts does not count, however it is escaped', () => {
  for (const pieceBytes of [1, 2, 3, 4096])
    for (const text of [`"${'['.repeat(2000)}"`, `"\\"${'{'.repeat(2000)}"`, `["\\\\\\"${'['.repeat(2000)}", "\\\\"]`])
      assert.equal(faultOf(text, pieceBytes), undefined, text.slice(0, 9))
  assert.match(faultOf(`"\\\\"${levels(1001)}`)!, /levels/, 'a text that ends in a backslash is over')
})

test('lists, objects and texts are counted together, numbers are not', () => {
  assert.equal(faultOf(`[${'1,'.repeat(2 * MANY)}1]`), undefined)
  assert.equal(faultOf(`[${'"",'.repeat(MANY - 2)}""]`), undefined)
  for (const text of [`[${'"",'.repeat(MANY)}""]`, `[${'{},'.repeat(MANY)}{}]`, `[${'{"a":1},'.repeat(MANY / 2)}1]`])
    assert.match(faultOf(text)!, /more than 131072 lists, objects and texts/)
})

/** The text of an object with so many fields. */
function object(count: number): string {
  return `{${Array.from({ length: count }, (_, i) => `"${i}":{"a:":1}`).join()}}`
}

test('an object has eight thousand fields at most; many objects may have as many together', () => {
  for (const pieceBytes of [3, 4096]) {
    assert.equal(faultOf(`[${object(8192)},${object(8192)}]`, pieceBytes), undefined)
    assert.match(faultOf(`[${object(8193)}]`, pieceBytes)!, /an object in the body has more than 8192 fields/)
  }
})
