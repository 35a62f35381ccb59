import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { packagedLibrary } from '../../../src/runtime/locate/platform.ts'

const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))

for (const [platform, arch] of [
  ['linux', 'x64'],
  ['linux', 'arm64'],
  ['darwin', 'arm64'],
  ['win32', 'x64'],
  ['win32', 'arm64'],
] as const) {
  test(`the package's library for ${platform} ${arch} is where it is looked for`, () => {
    assert.ok(existsSync(packagedLibrary(home, platform, arch)))
  })
}

test('a machine that the package has no library for is told so, with what there is', () => {
  for (const [platform, arch] of [
    ['darwin', 'x64'],
    ['linux', 'riscv64'],
    ['freebsd', 'x64'],
  ] as const) {
    assert.throws(() => packagedLibrary(home, platform, arch), {
      code: 'RUNTIME_PLATFORM',
      message: new RegExp(`no library for ${platform} ${arch}, only for linux x64.*: run`),
    })
  }
  assert.throws(() => packagedLibrary('/no/such/package', 'linux', 'x64'), {
    code: 'RUNTIME_LIBRARY',
    message: /is missing: install/,
  })
})
