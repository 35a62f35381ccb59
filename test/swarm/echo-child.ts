import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../src/swarm/node/node.ts'
import { LOOPBACK, silent } from './kit.ts'

/** A peer in a process of its own, to be killed: answers each frame with itself, and prints where it is. */
const node = await createSwarmNode({ identity: await loadIdentity(), listen: LOOPBACK, logger: silent })
await node.handle('inference', async (stream) => {
  for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) await stream.send(frame)
})
await node.start()
process.stdout.write(`${JSON.stringify({ peerId: node.peerId, multiaddrs: node.multiaddrs })}\n`)
