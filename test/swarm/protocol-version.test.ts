import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTOCOL_VERSION, isCompatible, knows } from '../../src/swarm/protocol-version.ts'
import { signRecord, verifyRecord } from '../../src/swarm/records/record.ts'
import { eventually, recordOf, silent, startNode, targetOf } from './kit.ts'

const OWN = PROTOCOL_VERSION

test('the first number decides, and who does not say speaks version 1', () => {
  assert.deepEqual(
    ['3.0.0', '3.1.0', '3.7.2', '1.0.0', '30.0.0', 'x', undefined].map((version) => isCompatible(version)),
    [true, true, true, false, false, false, false],
  )
})

test('what came with a version is known to that and later ones with the same first number', () => {
  assert.deepEqual(
    ['3.2.0', '3.10.1', '3.1.9', '3', '4.2.0', '2.9.0', 'x', undefined].map((version) => knows(version, '3.2.0')),
    [true, true, false, false, false, false, false, false],
  )
})

test('a record tells its version, and one without is taken as it is', async (t) => {
  const node = await startNode(t)
  for (const protocol of [PROTOCOL_VERSION, '4.0.0', undefined]) {
    const record = recordOf(node.peerId, protocol === undefined ? {} : { protocol })
    assert.deepEqual(await verifyRecord(await signRecord(record, node.identity), Date.now()), record)
  }
  await assert.rejects(signRecord(recordOf(node.peerId, { protocol: 'newest\n' }), node.identity), {
    code: 'SWARM_RECORD',
    message: /protocol/,
  })
})

test('a peer that speaks another version only is refused with both versions, and told of once', async (t) => {
  const warnings: string[] = []
  const node = await startNode(t, {
    logger: {
      ...silent,
      warn: (message: unknown) => {
        warnings.push(String(message))
      },
    },
  })
  const newer = await startNode(t)
  await newer.libp2p.handle('/petals-node/info/4.0.0', () => undefined)
  await node.connect(newer.multiaddrs[0]!)
  const identified = () =>
    node.libp2p.peerStore.get(newer.libp2p.peerId).then(
      ({ protocols }) => protocols.includes('/petals-node/info/4.0.0'),
      () => false,
    )
  let known = false
  void (async () => {
    while (!known) {
      known = await identified()
      await new Promise((resolve) => {
        setTimeout(resolve, 10)
      })
    }
  })()
  await eventually(() => known)
  for (let i = 0; i < 2; i++) {
    await assert.rejects(node.open(targetOf(newer), 'info'), {
      code: 'SWARM_VERSION',
      message: `peer ${newer.peerId} speaks protocol version 4.0.0, this node ${OWN}: update petals-node here`,
    })
  }
  assert.equal(warnings.length, 1)
  await assert.rejects(node.open(targetOf(newer), 'forward'), {
    code: 'SWARM_PROTOCOL',
    message: /does not serve forward 3\.3\.0/,
  })
})
