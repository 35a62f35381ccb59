import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import type { Engine } from '../../../src/engine/engine.ts'
import { probeSelf } from '../../../src/server/announce/self-probe.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { startNode } from '../../swarm/kit.ts'

/** A span of 2 blocks of width 4. */
const ENGINE = { config: { hiddenSize: 4 } as Engine['config'], start: 0, end: 2 }

for (const [what, numBroken, answers] of [
  ['a handshake that breaks off is tried again', 2, true],
  ['whoever takes no handshake, however often, is told', 3, false],
] as const) {
  test(what, async (t) => {
    const node = await startNode(t)
    let numProbes = 0
    await node.handle('probe', async (stream) => {
      const message = await stream.receive()
      assert.ok(message)
      numProbes++
      await stream.send({ kind: 'output', hidden: fromFloat32(new Float32Array(4), [1, 1, 4]) })
    })
    const broken = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    t.after(() => broken.close())
    await once(broken, 'listening')
    const { port } = broken.address() as AddressInfo
    let numDials = 0
    const { peerId, swarmKey, peerGuard, logger } = node
    const probed = probeSelf(
      {
        peerId,
        swarmKey,
        peerGuard,
        logger,
        get listenedAddresses() {
          return numDials++ < numBroken ? [`/ip4/127.0.0.1/tcp/${port}`] : node.listenedAddresses
        },
      },
      ENGINE,
      'test',
    )
    if (answers) await probed
    else await assert.rejects(probed, { code: 'SWARM_HANDSHAKE' })
    assert.equal(numProbes, answers ? 1 : 0)
  })
}
