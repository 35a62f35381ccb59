import assert from 'node:assert/strict'
import { randomInt, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { marked } from '../cli/kit.ts'
import { runChaos } from './chaos.ts'
import { TROUBLES } from './troubles.ts'

/** A seed of one's own, or that of a failed run, repeats its decisions. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31))
const AT_LEAST = { seconds: 25, texts: 4, recoveries: 3 }

/** A busy machine takes long for each of a dozen processes and their repairs. */
const PATIENTLY = { timeout: 600_000 }

/** Caches of the runtime and of V8 grow for a while; what leaks by session or repair would be more in this time. */
const GROWN_BYTES = 128 << 20
const GROWN_FILES = 16

test(
  `servers killed, drained, frozen, slowed, cut off and lying change no token (seed ${SEED})`,
  PATIENTLY,
  async (t) => {
    // In the environment of all processes that are started from here on.
    const mark = randomUUID()
    process.env.TEST_OF_PETALS = mark
    const { outcome, troubles, numLies, before, after, kept } = await runChaos({
      seed: SEED,
      atLeast: AT_LEAST,
      tell: (line) => t.diagnostic(line),
    })
    const { generations, tokens, recoveries, failures } = outcome
    t.diagnostic(
      `${generations} texts of ${tokens} tokens, ${recoveries.length} recoveries, ${numLies} lies; ` +
        [...troubles].map(([trouble, count]) => `${count} ${trouble}`).join(', '),
    )
    for (const [i, { name, residentBytes, openFiles }] of after.entries()) {
      const was = before[i]!
      const [then, now] = [was.residentBytes >> 20, residentBytes >> 20]
      const line = `${name}: ${then} MiB and ${was.openFiles} files, then ${now} and ${openFiles}`
      t.diagnostic(line)
      assert.ok(residentBytes - was.residentBytes < GROWN_BYTES && openFiles - was.openFiles < GROWN_FILES, line)
    }
    assert.deepEqual(failures, [])
    assert.deepEqual(kept, [])
    assert.equal(troubles.size, TROUBLES.length)
    assert.deepEqual(await marked(`TEST_OF_PETALS=${mark}`), [])
  },
)
