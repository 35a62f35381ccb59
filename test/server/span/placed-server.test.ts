import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { type RunningServer, type ServeOptions, serve } from '../../../src/server/serve.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { SwarmClient } from '../../../src/client/blocks/swarm-client.ts'
import { createInferenceSession } from '../../../src/client/session/open.ts'
import { eventually, silent, startNode } from '../../swarm/kit.ts'

/** A model of three blocks. */
const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname

async function join(
  t: TestContext,
  bootstrap: readonly string[],
  span: Partial<ServeOptions>,
): Promise<{ node: SwarmNode; server: RunningServer }> {
  const node = await startNode(t, { bootstrap: [...bootstrap] })
  if (bootstrap.length > 0) await node.ready()
  const checkpoint = await openCheckpoint(FOLDER)
  const balance = { quality: 0.95, periodMs: 200 }
  const own = {
    checkpoint,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 1024,
    balance,
  } as const
  const server = await serve(node, { ...own, ...span }, silent)
  t.after(() => server.stop())
  return { node, server }
}

test('when the only holder of some blocks dies, another server moves there and serves them', async (t) => {
  const first = await join(t, [], { start: 0, end: 2 })
  const bootstrap = [first.node.multiaddrs[0]!]
  const [second, third] = await Promise.all([
    join(t, bootstrap, { numBlocks: 1 }),
    join(t, bootstrap, { numBlocks: 1 }),
  ])
  assert.ok([second, third].some(({ server }) => server.engine.start === 2))
  const holder = second.server.engine.start === 2 ? second : third
  const other = holder === second ? third : second
  await holder.node.stop()
  await eventually(() => other.server.engine.start === 2 && other.server.announcer.state === 'ONLINE')
  const client = await SwarmClient.connect({
    bootstrap,
    modelKey: first.server.modelKey,
    numBlocks: 3,
    logger: silent,
  })
  t.after(() => client.close())
  const { config } = await openCheckpoint(FOLDER)
  const session = await createInferenceSession(client, config, { start: 0, end: 3 }, { maxLength: 4 })
  t.after(() => session.close())
  const output = await session.step(fromFloat32(new Float32Array(64).fill(0.5), [1, 64]))
  assert.deepEqual(output.shape, [1, 64])
})
