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
