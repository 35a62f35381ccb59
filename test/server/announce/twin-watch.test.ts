import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { TwinWatch } from '../../../src/server/announce/twin-watch.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { Discovery } from '../../../src/swarm/records/discovery.ts'
import { eventually, recordOf, silent, startNode } from '../../swarm/kit.ts'

const MODEL = 'tiny-model'

type Identity = Awaited<ReturnType<typeof loadIdentity>>

/** A server as far as its records go, and its warnings. */
async function startServer(t: TestContext, identity: Identity, bootstrap: string[], listen?: string[]) {
  const warnings: string[] = []
  const logger = { ...silent, warn: (...all: unknown[]) => void warnings.push(String(all.at(-1))) }
  const node = await startNode(t, { identity, bootstrap, logger, ...(listen !== undefined && { listen }) })
  await node.records.start(node)
  const watch = new TwinWatch(node)
  const discovery = new Discovery({ node, exchange: node.records, modelKey: MODEL, numBlocks: 2 })
  await node.ready()
  watch.start()
  await discovery.announce(recordOf(node.peerId, { multiaddrs: node.multiaddrs }))
  const stop = async () => {
    watch.stop()
    discovery.stop()
    await node.records.stop(node)
    await node.stop()
  }
  t.after(stop)
  await discovery.refresh()
  return { node, discovery, warnings, stop }
}

async function startHub(t: TestContext): Promise<SwarmNode> {
  const hub = await startNode(t)
  await hub.records.start(hub)
  hub.records.store.hold(MODEL)
  return hub
}

const TWICE = /another node uses the same identity as this one, at .*each hides the other/

test('two nodes with one identity are told so, both', async (t) => {
  const hub = await startHub(t)
  const identity = await loadIdentity()
  const first = await startServer(t, identity, hub.multiaddrs)
  const second = await startServer(t, identity, hub.multiaddrs)
  // The second asks before its own record has reached the bootstrap peer, or hears of the first one's at once.
  await eventually(async () => {
    await Promise.all([first.discovery.refresh(), second.discovery.refresh()])
    return first.warnings.length > 0
  })
  await first.discovery.announce(recordOf(first.node.peerId, { multiaddrs: first.node.multiaddrs }))
  await eventually(async () => {
    await second.discovery.refresh()
    return second.warnings.length > 0
  })
  for (const { warnings } of [first, second]) {
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, TWICE)
  }
})

test('a record of an earlier run is no twin, on the same port or another one', async (t) => {
  const hub = await startHub(t)
  const identity = await loadIdentity()
  const first = await startServer(t, identity, hub.multiaddrs)
  const [address] = first.node.listenedAddresses
  await first.stop()
  assert.equal(hub.records.store.recordsOf(first.node.peerId).length, 1)
  for (const listen of [[address!], ['/ip4/127.0.0.1/tcp/0']]) {
    const again = await startServer(t, identity, hub.multiaddrs, listen)
    await again.discovery.refresh()
    await again.stop()
    assert.deepEqual(again.warnings, [])
  }
})

test('a bootstrap address under the own identity is tried: it may be another node', async (t) => {
  const identity = await loadIdentity()
  const first = await startServer(t, identity, [])
  const second = await startServer(t, identity, first.node.multiaddrs)
  await eventually(() => first.warnings.length > 0 && second.warnings.length > 0)
  for (const { warnings } of [first, second]) assert.match(warnings[0]!, TWICE)
})
