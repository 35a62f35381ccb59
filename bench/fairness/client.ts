import type { PeerTarget } from '../../src/swarm/address.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../src/swarm/node/node.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'

/** What a client is told: where to decode, and with how many sessions. */
export interface FairnessClientOptions {
  readonly server: PeerTarget
  readonly modelKey: string
  readonly end: number
  readonly hiddenSize: number
  readonly sessions: number
}

/** How many of its sessions decode from now on; the others pause. */
export interface SetSessions {
  active: number
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined }
const LENGTH = 64

const { server, modelKey, end, hiddenSize, sessions } = JSON.parse(process.argv[2]!) as FairnessClientOptions
const node = await createSwarmNode({ identity: await loadIdentity(), listen: [], logger: silent })
await node.start()
let numTokens = 0
const load: SetSessions = { active: 1 }
let changed = Promise.withResolvers<void>()

/**
 * Decodes token after token, each as soon as the one before is there, while the session is active; begins again when it
 * is full.
 */
async function decode(session: number): Promise<void> {
  const stream = await node.open(server, 'inference')
  const sessionId = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
  const span = { modelKey, start: 0, end, maxLength: LENGTH, allocTimeoutMs: 600_000 }
  await stream.send({ kind: 'open', sessionId, ...span, trace: newTrace() })
  await stream.receive()
  const hidden = fromFloat32(new Float32Array(hiddenSize).fill(0.01 * (session + 1)), [1, hiddenSize])
  for (let step = 1; ; step++) {
    while (session >= load.active) await changed.promise
    await stream.send({ kind: 'step', epoch: 1, step, position: step % LENGTH, push: false, hidden })
    if ((await stream.receive()) === null) return
    numTokens += 1
  }
}

for (let session = 0; session < sessions; session++) void decode(session).catch((error: Error) => console.error(error))
process.on('message', (message: SetSessions | 'tokens') => {
  if (message === 'tokens') return process.send!(numTokens)
  load.active = message.active
  changed.resolve()
  changed = Promise.withResolvers()
})
process.send!('ready')
