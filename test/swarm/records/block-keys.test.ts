import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BlockKeys, blockKey } from '../../../src/swarm/records/block-keys.ts'
import { signRecord, verifyRecord } from '../../../src/swarm/records/record.ts'
import { eventually, recordOf, startNode } from '../kit.ts'

const MODEL = 'tiny-model'

test('a block key depends on the model and the block only', () => {
  assert.equal(blockKey(MODEL, 3).toString(), blockKey(MODEL, 3).toString())
  assert.equal(new Set([blockKey(MODEL, 3), blockKey(MODEL, 4), blockKey('other', 3)].map(String)).size, 3)
})

test('providers of a block are found through a third node, and so is a server’s signed record', async (t) => {
  const hub = await startNode(t)
  const [server, client] = [
    await startNode(t, { bootstrap: hub.multiaddrs }),
    await startNode(t, { bootstrap: hub.multiaddrs }),
  ]
  await Promise.all([server.ready(), client.ready()])
  const [serving, asking] = [new BlockKeys(server, MODEL), new BlockKeys(client, MODEL)]
  await serving.provide(0, 6)
  assert.equal(serving.numProvided, 6)
  let found = await asking.find(5)
  await eventually(() => {
    if (found.length === 0)
      void asking.find(5).then((peers) => {
        found = peers
      })
    return found.length > 0
  })
  assert.deepEqual(found, [
    { peerId: server.peerId, multiaddrs: server.multiaddrs.map((address) => address.split('/p2p/')[0]) },
  ])
  assert.deepEqual(await asking.find(6), [])
  const record = recordOf(server.peerId)
  await serving.put(await signRecord(record, server.identity))
  const bytes = await asking.get(server.peerId)
  assert.deepEqual(await verifyRecord(bytes!, Date.now()), record)
  assert.equal(await asking.get(client.peerId), undefined)
})

test('a smaller span withdraws the rest, and a lone node does not wait for others', async (t) => {
  const node = await startNode(t)
  const keys = new BlockKeys(node, MODEL)
  await keys.provide(0, 8)
  await keys.provide(2, 4)
  assert.equal(keys.numProvided, 2)
  await keys.provide(0, 0)
  assert.equal(keys.numProvided, 0)
})

test('who waits for others to provide to is left in peace by the end of its node', async (t) => {
  const nobody = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf'
  const node = await startNode(t, { bootstrap: [nobody] })
  const provided = new BlockKeys(node, MODEL).provide(0, 2)
  await node.stop()
  await provided
})

test('a lookup can be left by its signal', async (t) => {
  const node = await startNode(t)
  const reason = new Error('leave')
  await assert.rejects(new BlockKeys(node, MODEL).find(0, AbortSignal.abort(reason)), reason)
})
