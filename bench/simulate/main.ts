import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { chartOf } from './chart.ts'
import { ScenarioRun } from './scenario.ts'

const { values } = parseArgs({
  options: {
    servers: { type: 'string', default: '100' },
    blocks: { type: 'string', default: '80' },
    seed: { type: 'string', default: '1' },
    quality: { type: 'string', default: '0.95' },
    out: { type: 'string', default: 'simulation.svg' },
  },
})
const numServers = Number(values.servers)
const numBlocks = Number(values.blocks)
// Few servers need long spans to hold all blocks at all.
const longest = Math.min(numBlocks, Math.ceil((numBlocks / 4) * Math.max(1, 16 / numServers)))
const run = new ScenarioRun({
  numServers,
  numBlocks,
  lengths: [Math.ceil(numBlocks / 40), longest],
  quality: Number(values.quality),
  periodMs: 120_000,
  loadMs: 60_000,
  seed: Number(values.seed),
})

function tell(what: string): void {
  const { minute, numServers, numMoves, share } = run.samples.at(-1)!
  const when = `${minute.toFixed(0).padStart(4)} min`
  console.log(
    `${when}  ${what.padEnd(24)} servers ${numServers}, moves ${numMoves}, bottleneck ${share.toFixed(3)} of even`,
  )
}

console.log(`${numServers} servers, ${numBlocks} blocks, seed ${values.seed}`)
await run.join(numServers, 10)
tell('all joined')
await run.pass(30)
tell('settled')
for (let round = 0; round < 3; round++) {
  const count = Math.max(1, Math.floor(numServers / 10))
  run.kill(count)
  await run.pass(20)
  tell(`${count} died 20 min ago`)
  await run.join(count, 5)
  await run.pass(20)
  tell(`${count} joined 20 min ago`)
}
await writeFile(values.out, chartOf(`${numServers} servers, ${numBlocks} blocks`, run.samples))
console.log(`chart: ${values.out}`)
