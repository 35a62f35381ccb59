/**
 * One process of the bare ring: takes fixed-size messages on one stream and sends them on over another. The same libp2p
 * options and guards as a server's, no frames, no computation. argv: bytes, and milliseconds to read through memory
 * before a message is sent on (what a span's weights do to the caches). Speaks with its parent over IPC.
 */
import { pino } from 'pino'
import { loadIdentity } from '../src/swarm/node/identity.ts'
import { createSwarmNode } from '../src/swarm/node/node.ts'
import { multiaddr } from '@multiformats/multiaddr'
import type { Stream } from '@libp2p/interface'

const PROTOCOL = '/petals-node/bench-ring/1.0.0'
const bytes = Number(process.argv[2])
const pauseMs = Number(process.argv[3] ?? 0)
const weights = new Float64Array(pauseMs > 0 ? 1 << 20 : 0).fill(1)

function readThroughMemory(): number {
  let sum = 0
  for (const until = performance.now() + pauseMs; performance.now() < until;) {
    for (let i = 0; i < 1 << 14; i++) sum += weights[(i * 64 + Math.floor(sum)) & ((1 << 20) - 1)]!
  }
  return sum
}

const node = await createSwarmNode({
  identity: await loadIdentity(),
  listen: ['/ip4/127.0.0.1/tcp/0'],
  logger: pino({ level: 'silent' }),
})
await node.start()
const payload = new Uint8Array(bytes)
let next: Stream | undefined
let onMessage: (() => void) | undefined

await node.libp2p.handle(PROTOCOL, (stream) => {
  let received = 0
  stream.addEventListener('message', ({ data }) => {
    for (received += data.byteLength; received >= bytes; received -= bytes) {
      if (onMessage !== undefined) onMessage()
      else {
        if (pauseMs > 0) readThroughMemory()
        next?.send(payload)
      }
    }
  })
})

/** The client's process: `turns` messages round the ring, one after another; ms of each. */
async function measure(turns: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < turns; i++) {
    const { promise, resolve } = Promise.withResolvers<void>()
    onMessage = resolve
    const began = performance.now()
    next!.send(payload)
    await promise
    times.push(performance.now() - began)
  }
  return times
}

process.on('message', (message: { next?: string; turns?: number }) => {
  void (async () => {
    if (message.next !== undefined) {
      next = await node.libp2p.dialProtocol(multiaddr(message.next), PROTOCOL)
      process.send!({ connected: true })
    }
    if (message.turns !== undefined) process.send!({ times: await measure(message.turns) })
  })()
})
process.on('disconnect', () => process.exit())
process.send!({ address: node.multiaddrs[0] })
