import type { TestContext } from 'node:test'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode, type SwarmLogger, type SwarmNode, type SwarmNodeOptions } from '../../src/swarm/node/node.ts'
import type { ServerRecord } from '../../src/swarm/records/record.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'

export { eventually } from '../eventually.ts'

export const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']

export const silent: SwarmLogger = { debug: () => undefined, info: () => undefined, warn: () => undefined }

/** A started node on loopback that is stopped after the test. */
export async function startNode(t: TestContext, options: Partial<SwarmNodeOptions> = {}): Promise<SwarmNode> {
  const node = await createSwarmNode({ identity: await loadIdentity(), listen: LOOPBACK, logger: silent, ...options })
  await node.start()
  t.after(() => node.stop())
  return node
}

export function targetOf(node: SwarmNode): { peerId: string; multiaddrs: string[] } {
  return { peerId: node.peerId, multiaddrs: node.multiaddrs }
}

export function bytesTensor(numBytes: number, fill = 1): Tensor {
  return tensor('uint8', [numBytes], new Uint8Array(numBytes).fill(fill))
}

export function recordOf(peerId: string, changes: Partial<ServerRecord> = {}): ServerRecord {
  const issuedAt = changes.issuedAt ?? Date.now()
  return {
    peerId,
    multiaddrs: ['/ip4/127.0.0.1/tcp/4001'],
    modelKey: 'tiny-model',
    start: 0,
    end: 2,
    state: 'ONLINE',
    dtype: 'float32',
    quant: 'none',
    device: 'cpu',
    cacheTokensLeft: 900,
    cacheTokens: 1000,
    throughput: 12.5,
    blockDigests: ['aa', 'bb'],
    adapters: [],
    version: '0.1.0',
    sequence: issuedAt,
    issuedAt,
    expiresAt: issuedAt + 60_000,
    ...changes,
  }
}
