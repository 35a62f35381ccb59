import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { askContact, serveContact } from '../../../src/swarm/node/contact.ts'
import { startNode, targetOf } from '../kit.ts'

function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)![1])
}

test('a peer tells its version and the time', async (t) => {
  const [asked, asking] = [await startNode(t), await startNode(t, { listen: [] })]
  await serveContact(asked, '1.2.3')
  const answer = await askContact(asking, targetOf(asked))
  assert.equal(answer.version, '1.2.3')
  assert.equal(answer.reachable, undefined)
  assert.ok(Math.abs(answer.clockAheadMs) <= answer.roundTripMs + 2, 'both clocks are one')
})

test('a peer says whether it can connect back', async (t) => {
  const [asked, asking] = [await startNode(t), await startNode(t)]
  await serveContact(asked, '1.2.3')
  const open = await askContact(asking, targetOf(asked), portOf(asking.multiaddrs[0]!))
  assert.equal(open.reachable, true)
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => {
    probe.once('listening', resolve)
  })
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => {
    probe.close(resolve)
  })
  assert.equal((await askContact(asking, targetOf(asked), port)).reachable, false)
})

test('a port that is none is refused', async (t) => {
  const [asked, asking] = [await startNode(t), await startNode(t)]
  await serveContact(asked, '1.2.3')
  await assert.rejects(askContact(asking, targetOf(asked), 70_000), { code: 'SWARM_FRAME' })
})
