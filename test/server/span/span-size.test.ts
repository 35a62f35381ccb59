import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pino } from 'pino'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { planSpan } from '../../../src/engine/plan/plan.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { type ServeOptions, serve } from '../../../src/server/serve.ts'
import { planServed } from '../../../src/server/span/span-size.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'

const DEMO = new URL('../../../models/demo', import.meta.url).pathname
const logger = pino({ level: 'silent' })

describe('a server that is not told its blocks', () => {
  let checkpoint: Checkpoint
  const bootstrap: string[] = []
  const stops: (() => Promise<void>)[] = []

  async function join(
    options: Partial<ServeOptions>,
  ): Promise<readonly [start: number, end: number, cacheTokens: number]> {
    const node = await createSwarmNode({
      identity: await loadIdentity(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap,
      logger,
    })
    await node.start()
    stops.push(() => node.stop())
    if (bootstrap.length > 0) await node.ready()
    const server = await serve(
      node,
      { checkpoint, device: CPU, dtype: 'float32', threads: 1, spin: false, ...options },
      logger,
    )
    stops.push(() => server.stop())
    if (bootstrap.length === 0) bootstrap.push(node.multiaddrs[0]!)
    return [server.engine.start, server.engine.end, server.engine.cacheTokens]
  }

  before(async () => {
    checkpoint = await openCheckpoint(DEMO)
    await join({ start: 0, end: 3, cacheTokens: 1024 })
  })
  after(async () => {
    for (const stop of stops.toReversed()) await stop()
  })

  test('holds as many as it is told, where the swarm has none', async () => {
    assert.deepEqual(await join({ numBlocks: 2, cacheTokens: 1024 }), [3, 5, 1024])
  })

  test('holds as many as fit into the memory, with the cache that fits as well', async () => {
    const target = { device: 'cpu', dtype: 'float32' } as const
    const { blockBytes, tokenBytes, workspaceBytes, reserveBytes } = planSpan(checkpoint.config, {
      ...target,
      memoryBytes: 1e9,
      trainingBytes: 0,
    })
    const memoryBytes = workspaceBytes + reserveBytes + 3.5 * (blockBytes + 8192 * tokenBytes)
    const [start, end, cacheTokens] = await join({ memoryBytes, trainingBytes: 0 })
    assert.deepEqual([start, end], [5, 8])
    assert.ok(cacheTokens >= 8192 && cacheTokens < 16_384, `${cacheTokens} tokens`)
  })

  test('holds the whole model where that fits', () => {
    assert.equal(planServed(checkpoint.config, { device: CPU, dtype: 'float32' }).numBlocks, 8)
  })

  test('is refused where not one block fits, and where the model has fewer than it is told', async () => {
    await assert.rejects(join({ memoryBytes: 1e8 }), { code: 'USAGE', message: /not one block .* are free/ })
    await assert.rejects(join({ numBlocks: 9 }), { code: 'USAGE', message: '--num-blocks 9: this model has 8 blocks' })
    await assert.rejects(join({ start: 6, end: 9 }), { code: 'USAGE', message: /blocks 0:8/ })
  })
})
