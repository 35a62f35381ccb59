import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PageGatherer } from '../../../src/engine/loading/page-gatherer.ts'
import { SystemMemory } from '../../../src/runtime/system-memory.ts'
import { viewOf } from '../../../src/runtime/library.ts'

const BYTES = 64 << 20

function hugeKiB(): number {
  return Number(/^AnonHugePages:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))![1])
}

test('weights come into huge pages in another thread, which ends by itself', async (context) => {
  const system = new SystemMemory()
  const weights = system.take(BYTES)
  if (weights === undefined) return context.skip('only Linux tells')
  try {
    viewOf(weights, BYTES).fill(1)
    const before = hugeKiB()
    const gathered = await new PageGatherer(BYTES).done
    if (gathered === 0) return context.skip('this system gives no huge pages')
    assert.ok(hugeKiB() > before, `${hugeKiB()} KiB in huge pages, ${before} before`)
  } finally {
    system.giveBack(weights, BYTES)
  }
})

test('few weights are left where they are, and what is not done can be ended', async () => {
  assert.equal(await new PageGatherer(1 << 20).done, 0)
  const gatherer = new PageGatherer(BYTES)
  await Promise.all([gatherer.end(), gatherer.end()])
  assert.equal(await gatherer.done, 0)
})
