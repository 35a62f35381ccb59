import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseThroughput } from '../../../src/cli/values/throughput.ts'

test('a throughput is a positive number, or auto', () => {
  assert.deepEqual(['auto', '12.5', '1e3'].map(parseThroughput), [undefined, 12.5, 1000])
  for (const text of ['', ' ', 'fast', '0', '-1', 'NaN', 'Infinity'])
    assert.throws(() => parseThroughput(text), { code: 'USAGE', message: /--throughput/ })
})
