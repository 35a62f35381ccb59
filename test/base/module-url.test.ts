import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moduleUrl } from '../../src/base/module-url.ts'

test('sources lie in their folders, and the modules of a build in one', () => {
  assert.equal(moduleUrl('file:///a/src/engine/engine.ts', 'worker').href, 'file:///a/src/engine/worker.ts')
  assert.equal(moduleUrl('file:///a/src/cli/process/child.ts', '../main').href, 'file:///a/src/cli/main.ts')
  assert.equal(moduleUrl('file:///a/dist/chunk-1.js', '../main').href, 'file:///a/dist/main.js')
  assert.equal(moduleUrl('file:///a.ts/engine.js?x=.ts', 'reader').href, 'file:///a.ts/reader.js')
})
