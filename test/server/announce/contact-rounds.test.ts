import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ContactRounds } from '../../../src/server/announce/contact-rounds.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { serveContact } from '../../../src/swarm/node/contact.ts'
import { Discovery } from '../../../src/swarm/records/discovery.ts'
import { eventually, silent, startNode } from '../../swarm/kit.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The answers of a server's rounds, and its warnings; it announces `announce`. */
async function startRounds(t: TestContext, bootstrap: string[], announce: string[] = []) {
  const [told, warnings]: [(boolean | undefined)[], string[]] = [[], []]
  const logger = { ...silent, warn: (...all: unknown[]) => void warnings.push(String(all.at(-1))) }
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce,
    bootstrap,
    logger,
  })
  await node.start()
  t.after(() => node.stop())
  await node.ready()
  const discovery = new Discovery({ node, exchange: node.records, modelKey: 'm', numBlocks: 1 })
  const rounds = new ContactRounds({ node, discovery, onReachable: (reachable) => void told.push(reachable) }, 20)
  t.after(() => rounds.stop())
  rounds.start()
  return { told, warnings }
}

test('peers tell a server whether they reach it, and it warns once if none does', async (t) => {
  const hub = await startNode(t)
  await serveContact(hub, '1.2.3')
  const open = await startRounds(t, hub.multiaddrs)
  await eventually(() => open.told.length >= 2)
  assert.deepEqual([open.told[0], open.warnings], [true, []])
  const port = await closedPort()
  const closed = await startRounds(t, hub.multiaddrs, [`/ip4/127.0.0.1/tcp/${port}`])
  await eventually(() => closed.told.length >= 3)
  assert.equal(closed.told[0], false)
  assert.equal(closed.warnings.length, 1)
  assert.match(closed.warnings[0]!, new RegExp(`no peer could connect to port ${port} of this server`))
})

test('where nobody answers nothing is known', async (t) => {
  const hub = await startNode(t)
  const alone = await startRounds(t, hub.multiaddrs)
  await eventually(() => alone.told.length >= 2)
  assert.deepEqual([alone.told[0], alone.warnings], [undefined, []])
})

test('a clock that is off is noticed by both sides, of a question and of an answer', async (t) => {
  const said: string[] = []
  const logger = { ...silent, warn: (...all: unknown[]) => void said.push(String(all.at(-1))) }
  const hub = await startNode(t, { logger })
  await hub.handle('contact', async (stream) => {
    await stream.receive()
    await stream.send({ kind: 'contact', version: '0', nowMs: Date.now() - 600_000 })
  })
  const asking = await startRounds(t, hub.multiaddrs)
  await eventually(() => asking.warnings.length > 0)
  assert.match(asking.warnings[0]!, /is 600 s behind that of this machine, and one of the two is off/)
  await hub.unhandle('contact')
  await serveContact(hub, '1.2.3')
  // A whole round from now on: the hub knows this node's clock then.
  const rounds = asking.told.length
  await eventually(() => asking.told.length > rounds + 1)
  const late = await startNode(t, { listen: [], bootstrap: hub.multiaddrs })
  const stream = await late.open({ peerId: hub.peerId, multiaddrs: hub.multiaddrs }, 'contact')
  await stream.send({ kind: 'contact', nowMs: Date.now() + 300_000 })
  assert.equal((await stream.receive())?.kind, 'contact')
  await eventually(() => said.length > 0)
  assert.match(said[0]!, /is 300 s ahead of those of this machine and 1 other peer/)
})
