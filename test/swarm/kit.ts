import { after } from 'node:test'
import { Cleanup } from '../../src/cli/process/cleanup.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode, type SwarmLogger, type SwarmNode, type SwarmNodeOptions } from '../../src/swarm/node/node.ts'
import type { ServerRecord } from '../../src/swarm/records/record.ts'
import type { ServedStream } from '../../src/swarm/frames/frame-stream.ts'
import type { Answer, StepMessage } from '../../src/swarm/frames/messages.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'

export { eventually } from '../eventually.ts'

export const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']

export const silent: SwarmLogger = { debug: () => undefined, info: () => undefined, warn: () => undefined }

/** What is undone at the end: a test's context is one. */
export interface Scope {
  after(step: () => Promise<void>): void
}

/** The scope of a whole file, to be asked for where its hooks are. */
export function suiteScope(): Scope {
  const cleanup = new Cleanup()
  after(() => cleanup.run())
  return { after: (step) => cleanup.add(step) }
}

/** A started node on loopback that is stopped after the test. */
export async function startNode(t: Scope, options: Partial<SwarmNodeOptions> = {}): Promise<SwarmNode> {
  const node = await createSwarmNode({ identity: await loadIdentity(), listen: LOOPBACK, logger: silent, ...options })
  await node.start()
  t.after(() => node.stop())
  return node
}

export function targetOf(node: SwarmNode): { peerId: string; multiaddrs: string[] } {
  return { peerId: node.peerId, multiaddrs: node.multiaddrs }
}

/** Hidden states [1, numBytes / 2] of float16, all of whose bytes are alike. */
export function bytesTensor(numBytes: number, fill = 1): Tensor {
  return tensor('float16', [1, numBytes / 2], new Uint8Array(numBytes).fill(fill))
}

/** A step that is told from others by its position, and what `echo` answers. */
export function stepOf(position: number, numBytes = 1024): StepMessage {
  const hidden = bytesTensor(numBytes, position % 256)
  return { kind: 'step', epoch: 1, step: 1, position, push: false, hidden }
}

export function outputOf(position: number, numBytes = 1024): Answer<'inference'> {
  const hidden = bytesTensor(numBytes, position % 256)
  return { kind: 'output', epoch: 1, step: 1, position, hidden }
}

/** The position of a message that has one. */
export function positionOf(message: Answer<'inference'> | null): number | undefined {
  return message !== null && 'position' in message ? message.position : undefined
}

/** Answers each step with an output that is the same. */
export async function echo(stream: ServedStream<'inference'>): Promise<void> {
  for (let message = await stream.receive(); message !== null; message = await stream.receive()) {
    if (message.kind !== 'step') throw new Error(`the echo got "${message.kind}"`)
    const { epoch, step, position, hidden } = message
    await stream.send({ kind: 'output', epoch, step, position, hidden })
  }
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
    prefillRate: 4000,
    decodeRate: (changes.throughput ?? 12.5) * ((changes.end ?? 2) - (changes.start ?? 0)),
    queueMs: 200,
    nextRtts: {},
    blockDigests: ['aa', 'bb'],
    adapters: [],
    version: '0.1.0',
    sequence: issuedAt,
    issuedAt,
    expiresAt: issuedAt + 60_000,
    ...changes,
  }
}
