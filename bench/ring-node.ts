/**
 * One process of the bare ring: takes fixed-size messages on one stream and sends them on over another. The same libp2p
 * options and guards as a server's, no frames, no computation. argv: bytes. Speaks with its parent over IPC.
 */
import { pino } from 'pino'
import { loadIdentity } from '../src/swarm/identity.ts'
import { createSwarmNode } from '../src/swarm/node.ts'
import { multiaddr } from '@multiformats/multiaddr'
import type { Stream } from '@libp2p/interface'

const PROTOCOL = '/petals-node/bench-ring/1.0.0'
const bytes = Number(process.argv[2])

const node = await createSwarmNode({ identity: await loadIdentity(), listen: ['/ip4/127.0.0.1/tcp/0'], logger: pino({ level: 'silent' }) })
await node.start()
const payload = new Uint8Array(bytes)
let next: Stream | undefined
let onMessage: (() => void) | undefined

await node.libp2p.handle(PROTOCOL, (stream) => {
  let received = 0
  stream.addEventListener('message', ({ data }) => {
    for (received += data.byteLength; received >= bytes; received -= bytes) {
      if (onMessage === undefined) next?.send(payload)
      else onMessage()
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

process.on('message', (message: { next?: string, turns?: number }) => {
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
