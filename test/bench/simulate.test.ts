import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bestStaticBottleneck } from '../../bench/simulate/best-static.ts'
import { ScenarioRun } from '../../bench/simulate/scenario.ts'

/** The share of the best static assignment that a swarm at rest must reach. */
const SHARE = 0.9
const PERIOD_MINUTES = 2
/** How long the record of a dead server is believed, and a span takes to load. */
const EXPIRY_AND_LOAD_MINUTES = 2

const SEED = Number(process.env['SEED'] ?? 1)

function scenario(numServers: number, numBlocks: number, lengths: readonly [number, number]): ScenarioRun {
  const periodMs = PERIOD_MINUTES * 60_000
  return new ScenarioRun({ numServers, numBlocks, lengths, quality: 0.95, periodMs, loadMs: 60_000, seed: SEED })
}

describe(`a simulated swarm (seed ${SEED})`, () => {
  test('of 8 servers reaches the best static assignment nearly, also after losses, and comes to rest', async () => {
    const run = scenario(8, 16, [4, 8])
    await run.join(8, 10)
    await run.pass(60)
    assertNearBest(run)
    run.kill(1)
    await run.pass(60)
    assertNearBest(run)
    const { numMoves } = run.swarm
    await run.pass(60)
    assert.equal(run.swarm.numMoves, numMoves)
  })

  test('of two servers that join at once has both halves of the model', async () => {
    const run = scenario(2, 8, [4, 4])
    await run.join(2, 0)
    await run.pass(5)
    assert.deepEqual(run.swarm.loaded.map(({ start }) => start).toSorted(), [0, 4])
    assert.equal(run.swarm.numMoves, 0)
  })

  test('of 50 servers spreads nearly evenly, comes to rest, and covers every block again after losses', async () => {
    const run = scenario(50, 20, [2, 5])
    await run.join(50, 10)
    await run.pass(30)
    assert.ok(run.samples.at(-1)!.share >= SHARE, `${run.samples.at(-1)!.share} of the even share`)
    const { numMoves } = run.swarm
    await run.pass(20)
    assert.equal(run.swarm.numMoves, numMoves)
    // All who hold some block.
    const block = 10
    for (const { peerId, start, length } of run.swarm.loaded)
      if (start <= block && block < start + length) run.swarm.kill(peerId)
    assert.equal(run.swarm.bottleneck, 0)
    await run.pass(EXPIRY_AND_LOAD_MINUTES + 2 * 2 * PERIOD_MINUTES)
    assert.ok(run.swarm.bottleneck > 0)
  })
})

function assertNearBest(run: ScenarioRun): void {
  const best = bestStaticBottleneck(16, run.swarm.machines)
  assert.ok(run.swarm.bottleneck >= SHARE * best, `${run.swarm.bottleneck} where ${best} is possible`)
}
