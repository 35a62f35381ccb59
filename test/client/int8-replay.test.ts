import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { SwarmClient } from '../../src/client/blocks/swarm-client.ts'
import type { InferenceSession, Recovery } from '../../src/client/session/inference-session.ts'
import { createInferenceSession } from '../../src/client/session/open.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type RunningServer, serve } from '../../src/server/serve.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../src/tensor/tensor.ts'
import { silent, startNode } from '../swarm/kit.ts'

const MODEL = new URL('../../models/demo', import.meta.url).pathname
const BLOCKS = { start: 0, end: 2 }
const HIDDEN_SIZE = 256
/** What a prompt's first piece has at least, and what comes behind it, which is 20 times as large. */
const FIRST = 128
const REST = 60

const prompt = fromFloat32(
  Float32Array.from({ length: (FIRST + REST + 1) * HIDDEN_SIZE }, (_, i) => {
    const size = i < FIRST * HIDDEN_SIZE ? 0.05 : 1
    return size * Math.cos(i * 0.37 + (i % 7))
  }),
  [FIRST + REST + 1, HIDDEN_SIZE],
)

/** The last row's output, after the first piece, the rest, and one more token. */
async function write(session: InferenceSession, beforeLast: () => Promise<void>): Promise<Tensor> {
  for (const [from, until] of [
    [0, FIRST],
    [FIRST, FIRST + REST],
  ] as const)
    await session.step(sliceRows(prompt, from, until), { rows: 1 })
  await beforeLast()
  return session.step(sliceRows(prompt, FIRST + REST, FIRST + REST + 1))
}

test('an int8 cache whose first piece had 128 tokens is replayed with the scales of that piece', async (t) => {
  const checkpoint = await openCheckpoint(MODEL)
  const cache = { kvDType: 'int8', cacheTokens: 2048 } as const
  const servers: { node: SwarmNode; server: RunningServer }[] = []
  for (let i = 0; i < 2; i++) {
    const node = await startNode(t, { bootstrap: servers[0]?.node.multiaddrs ?? [] })
    const options = { checkpoint, ...BLOCKS, ...cache, device: CPU, dtype: 'float32', threads: 1, spin: false } as const
    const server = await serve(node, options, silent)
    t.after(() => server.stop())
    servers.push({ node, server })
  }
  const client = await SwarmClient.connect({
    bootstrap: servers.flatMap(({ node }) => node.multiaddrs),
    modelKey: servers[0]!.server.modelKey,
    numBlocks: checkpoint.config.numBlocks,
    logger: silent,
  })
  t.after(() => client.close())
  const open = () => createInferenceSession(client, checkpoint.config, BLOCKS, { maxLength: 256 })

  const undisturbed = await open()
  const expected = asFloat32(await write(undisturbed, async () => undefined))
  const session = await open()
  const recoveries: Recovery[] = []
  session.on('recovery', (recovery) => recoveries.push(recovery))
  let used: string | undefined
  session.on('route', ([hop]) => {
    used = hop!.peerId
  })
  const output = await write(session, async () => {
    await servers.find(({ node }) => node.peerId === used)!.node.stop()
  })
  assert.deepEqual(
    recoveries.map(({ replayedTokens }) => replayedTokens),
    [FIRST + REST],
  )
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const difference = asFloat32(output).reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0)
  t.diagnostic(`${difference / largest} of the largest value`)
  assert.ok(difference < 1e-4 * largest, `off by ${difference} of ${largest}`)
})
