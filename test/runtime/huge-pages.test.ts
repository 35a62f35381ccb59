import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gatherInHugePages } from '../../src/runtime/huge-pages.ts'
import { type Pointer, viewOf } from '../../src/runtime/library.ts'
import { SystemMemory } from '../../src/runtime/system-memory.ts'

const BYTES = 16 << 20

/** What the system counts of the mapping at an address, in KiB. */
function counted(address: Pointer, what: string): number {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  const mapping = mappings.find((text) => {
    const [from, to] = text
      .slice(0, text.indexOf(' '))
      .split('-')
      .map((place) => BigInt(`0x${place}`))
    return from! <= address && address < to!
  })
  return Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(mapping!)![1])
}

test('what is written lies in huge pages afterwards, and what is not takes no memory', (context) => {
  const system = new SystemMemory()
  const written = system.take(BYTES)
  if (written === undefined) return context.skip('only Linux tells')
  const unwritten = system.take(BYTES)!
  try {
    const bytes = viewOf(written, BYTES)
    for (let i = 0; i < BYTES; i++) bytes[i] = i % 251
    const gathered = gatherInHugePages()
    for (let i = 0; i < BYTES; i++) if (bytes[i] !== i % 251) assert.fail(`byte ${i} has changed`)
    // Mappings that lie side by side are one to the system.
    assert.ok(counted(unwritten, 'Rss') <= (BYTES >> 10) + 4, 'unwritten memory was filled')
    if (gathered === 0) return context.skip('this system gives no huge pages')
    assert.ok(counted(written, 'AnonHugePages') > 0)
  } finally {
    for (const address of [written, unwritten]) system.giveBack(address, BYTES)
  }
})

test('what was only read takes no memory either, and keeps nothing else from being gathered', (context) => {
  const system = new SystemMemory()
  const half = system.take(2 * BYTES)
  if (half === undefined) return context.skip('only Linux tells')
  // Apart from others, and before them: the system maps from above.
  const gap = system.take(BYTES)!
  const read = system.take(BYTES)!
  system.giveBack(gap, BYTES)
  try {
    viewOf(half, BYTES).fill(1)
    let sum = 0
    for (const [address, byteLength] of [
      [half + BigInt(BYTES), BYTES],
      [read, BYTES],
    ] as const)
      for (const byte of viewOf(address, byteLength)) sum += byte
    assert.equal(sum, 0)
    const before = [half, read].map((address) => counted(address, 'Rss'))
    const gathered = gatherInHugePages()
    const after = [half, read].map((address) => counted(address, 'Rss'))
    for (const [i, kib] of after.entries())
      assert.ok(kib < before[i]! + 1024, `${kib} KiB where ${before[i]} were before`)
    if (gathered === 0) return context.skip('this system gives no huge pages')
    assert.ok(counted(half, 'AnonHugePages') > 0)
  } finally {
    system.giveBack(half, 2 * BYTES)
    system.giveBack(read, BYTES)
  }
})
