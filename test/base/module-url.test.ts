import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moduleUrl } from '../../src/base/module-url.ts'

test('a module has the extension of the one that names it', () => {
  assert.equal(moduleUrl('file:///a/src/engine/engine.ts', 'worker').href, 'file:///a/src/engine/worker.ts')
  assert.equal(moduleUrl('file:///a/dist/engine/engine.js', 'worker').href, 'file:///a/dist/engine/worker.js')
  assert.equal(moduleUrl('file:///a.ts/engine.js?x=.ts', 'reader').href, 'file:///a.ts/reader.js')
})
