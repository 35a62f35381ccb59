import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { readSharedObject } from '../../../src/runtime/locate/elf.ts'
import { runtimeVersion } from '../../../src/runtime/locate/locate.ts'
import { writeElf } from './elf-writer.ts'
import { threadRuntime } from '../../../src/runtime/thread-runtime.ts'

describe('reading shared libraries', () => {
  const folder = mkdtempSync(join(tmpdir(), 'petals-elf-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, name), bytes)
    return join(folder, name)
  }

  test('gives what it needs in order, and the versions that stand alone in its data', () => {
    const needed = ['libcublasLt.so.13', 'libcublas.so.13', 'libc.so.6']
    const library = readSharedObject(
      file('a.so', writeElf({ needed, dynamicStrings: ['VERS_1.30.1'], versions: ['1.30.1', '9.9'] })),
    )
    assert.deepEqual(library.needed, needed)
    assert.deepEqual(library.versions(), ['1.30.1'])
    assert.ok(library.dynamicStrings.includes('VERS_1.30.1'))
  })

  test('refuses what is no such file, or cut short, by name', () => {
    const whole = writeElf({ needed: ['libc.so.6'] })
    for (const bytes of [
      Buffer.from('#!/bin/sh\n'.padEnd(80)),
      whole.subarray(0, whole.length - 10),
      whole.subarray(0, 20),
    ]) {
      assert.throws(() => readSharedObject(file('bad.so', bytes)), { code: 'RUNTIME_LIBRARY', message: /bad\.so/ })
    }
  })

  test('reads the installed runtime', { skip: process.platform !== 'linux' }, () => {
    assert.ok(readSharedObject(threadRuntime.location().library).needed.includes('libc.so.6'))
    assert.match(runtimeVersion(threadRuntime.location().library), /^1\.\d+\.\d+$/)
  })
})
