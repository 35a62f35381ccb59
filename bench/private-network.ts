/**
 * 1 GB in 8 MB messages between two processes of a private swarm: `node bench/private-network.ts [megabytes] [--open]`.
 * Prints throughput and the memory of both; `--open` does the same without a key.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { loadIdentity } from '../src/swarm/node/identity.ts'
import { createSwarmNode } from '../src/swarm/node/node.ts'
import { parseSwarmKey } from '../src/swarm/guards/swarm-key.ts'
import { newTrace } from '../src/swarm/node/trace.ts'
import { asFloat32, fromFloat32, tensor } from '../src/tensor/tensor.ts'
import { decodeActivations } from '../src/tensor/travel.ts'

const MESSAGE_BYTES = 8 << 20
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined }
const key = parseSwarmKey(`/key/swarm/psk/1.0.0/\n/base16/\n${'5c'.repeat(32)}`, 'bench')
const swarmKey = process.argv.includes('--open') ? undefined : key
const numMessages = Math.ceil((Number(process.argv[2] ?? 1024) * 1e6) / MESSAGE_BYTES)

function memoryMb(): number {
  return Math.round(process.memoryUsage.rss() / 1e6)
}

async function sink(): Promise<void> {
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    swarmKey,
    logger: silent,
  })
  let received = 0
  await node.handle('forward', async (stream) => {
    for (let message = await stream.receive(); message !== null; message = await stream.receive()) {
      if (message.hidden.data.some((byte, i) => i % 4096 === 0 && byte !== (i >> 12) % 251))
        throw new Error('wrong bytes')
      received += 1
      if (received % 16 === 0) process.send!({ received, memory: memoryMb() })
    }
    await stream.send({ kind: 'output', hidden: fromFloat32(Float32Array.of(received), [1, 1, 1]) })
  })
  await node.start()
  process.send!({ peerId: node.peerId, multiaddrs: node.multiaddrs })
  process.on('disconnect', () => process.exit())
}

async function source(): Promise<void> {
  const child = fork(import.meta.filename, [...process.argv.slice(2), '--sink'])
  const [target] = (await once(child, 'message')) as [{ peerId: string; multiaddrs: string[] }]
  const memory: number[] = []
  child.on('message', (message: { memory: number }) => memory.push(message.memory))
  const node = await createSwarmNode({ identity: await loadIdentity(), listen: [], swarmKey, logger: silent })
  await node.start()
  const stream = await node.open(target, 'forward')
  const data = Uint8Array.from({ length: MESSAGE_BYTES }, (_, i) => (i >> 12) % 251)
  const hidden = tensor('float32', [1, 1, MESSAGE_BYTES / 4], data)
  const own: number[] = []
  const began = performance.now()
  for (let i = 0; i < numMessages; i++) {
    await stream.send({ kind: 'forward', modelKey: 'bench', start: 0, end: 1, trace: newTrace(), hidden })
    if (i % 16 === 15) own.push(memoryMb())
  }
  await stream.end()
  const last = await stream.receive({ timeoutMs: 60_000 })
  const seconds = (performance.now() - began) / 1000
  const received = last === null ? 0 : asFloat32(await decodeActivations(last.hidden, 'float32'))[0]
  const rate = (numMessages * MESSAGE_BYTES) / 1e6 / seconds
  console.log(`${received} of ${numMessages} messages, ${rate.toFixed(0)} MB/s`)
  console.log(`sender MB   ${own.join(' ')}`)
  console.log(`receiver MB ${memory.join(' ')}`)
  child.disconnect()
  await node.stop()
}

await (process.argv.includes('--sink') ? sink() : source())
