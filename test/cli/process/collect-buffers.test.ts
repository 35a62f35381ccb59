import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const MODULE = new URL('../../../src/cli/process/collect-buffers.ts', import.meta.url).href

/** Collections of the whole heap that a process makes for 2 GB of buffers, each of which is soon forgotten. */
async function collections(prepare: string): Promise<number> {
  const program = `
    import { PerformanceObserver, constants } from 'node:perf_hooks'
    import { setImmediate as nextTurn } from 'node:timers/promises'
    import { collectBuffersWithHeap } from ${JSON.stringify(MODULE)}
    ${prepare}
    let count = 0
    new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) count++
    }).observe({ entryTypes: ['gc'] })
    // What lives on, as a program does: a share of it may be added before it is looked through again.
    const heap = Array.from({ length: 200_000 }, (_, i) => ({ i, text: String(i) }))
    const kept = []
    for (let i = 0; i < 32_768; i++) {
      kept[i % 64] = Buffer.allocUnsafeSlow(65_536)
      if (i % 256 === 0) await nextTurn()
    }
    await nextTurn()
    console.log(heap.length > 0 && count)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  return Number(stdout)
}

const skip = process.versions.v8.startsWith('13.') ? false : 'only V8 13 has the option'

test('forgotten buffers have the heap collected less often', { skip }, async () => {
  const [before, after] = [await collections(''), await collections('collectBuffersWithHeap()')]
  assert.ok(before >= 10 && after < before / 2, `${before} collections, then ${after}`)
})
