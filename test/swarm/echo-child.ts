import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../src/swarm/node/node.ts'
import { LOOPBACK, echo, silent } from './kit.ts'

/** A peer in a process of its own, to be killed: answers each step with itself, and prints where it is. */
const node = await createSwarmNode({ identity: await loadIdentity(), listen: LOOPBACK, logger: silent })
await node.handle('inference', echo)
await node.start()
process.stdout.write(`${JSON.stringify({ peerId: node.peerId, multiaddrs: node.multiaddrs })}\n`)
