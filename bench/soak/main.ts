import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { runChaos } from '../../test/chaos/chaos.ts'
import { median } from '../statistics.ts'

/**
 * `npm run soak -- --minutes 10 [--seed 7]`: the swarm of the chaos test with trouble for as long as told, and a
 * report. Ends with exit code 1 if any text was not what it is without trouble, or anything was kept.
 */
const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } })
const minutes = Number(values.minutes ?? 10)
const seed = Number(values.seed ?? randomInt(2 ** 31))
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error(
    `--minutes ${values.minutes ?? ''} --seed ${values.seed ?? ''}: minutes above 0 and a whole seed, please`,
  )
  process.exit(2)
}
const began = performance.now()
const passed = (): string => `${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s`
const { outcome, troubles, numLies, before, after, kept } = await runChaos({
  seed,
  atLeast: { seconds: minutes * 60, texts: 1, recoveries: 0 },
  tell: (line) => console.log(`${passed()}  ${line}`),
})
const { generations, tokens, recoveries, failures } = outcome
const seconds = recoveries.map((recovery) => recovery.seconds)
const replayed = recoveries.reduce((sum, { replayedTokens }) => sum + replayedTokens, 0)
console.log(`${passed()}  seed ${seed}, ${minutes} minutes of trouble`)
console.log(`texts: ${generations} of ${tokens} tokens in all, ${failures.length} of them wrong or failed`)
console.log(
  `troubles: ${[...troubles].map(([trouble, count]) => `${count} ${trouble}`).join(', ')}; ${numLies} lies told`,
)
if (seconds.length > 0)
  console.log(
    `recoveries: ${seconds.length}, ${median(seconds).toFixed(2)} s in the middle, ` +
      `${Math.max(...seconds).toFixed(2)} s at most; ${replayed} tokens replayed`,
  )
for (const [i, { name, residentBytes, openFiles }] of after.entries())
  console.log(
    `server ${name}, alive all the time: ${before[i]!.residentBytes >> 20} MiB at the start, ` +
      `${residentBytes >> 20} MiB at the end; ${before[i]!.openFiles} open files, then ${openFiles}`,
  )
for (const line of [...failures, ...kept.map((what) => `kept: ${what}`)]) console.log(line)
process.exitCode = failures.length + kept.length > 0 ? 1 : 0
