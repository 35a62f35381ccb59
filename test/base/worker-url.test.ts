import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workerUrl } from '../../src/base/worker-url.ts'

test('a worker has the extension of the module that starts it', () => {
  assert.equal(workerUrl('file:///a/src/engine/engine.ts', 'worker').href, 'file:///a/src/engine/worker.ts')
  assert.equal(workerUrl('file:///a/dist/engine/engine.js', 'worker').href, 'file:///a/dist/engine/worker.js')
  assert.equal(workerUrl('file:///a.ts/engine.js?x=.ts', 'reader').href, 'file:///a.ts/reader.js')
})
