import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sizeText } from '../../src/base/size.ts'

test('sizes are written with the unit that leaves at most three figures before the point', () => {
  const cases: [number, string][] = [
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [1500, '1.5 kB'],
    [99_960, '100 kB'],
    [999_600, '1.0 MB'],
    [16e9, '16.0 GB'],
    [140e9, '140 GB'],
    [2.5e15, '2.5 PB'],
  ]
  for (const [bytes, text] of cases) assert.equal(sizeText(bytes), text)
})
