import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { CPU } from '../src/runtime/device.ts'
import { serve } from '../src/server/serve.ts'
import { loadIdentity } from '../src/swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../src/swarm/node/node.ts'
import { Link, type LinkOptions, freePort } from '../test/link.ts'

export const MODEL = new URL('../models/demo', import.meta.url).pathname
export const SPANS = [
  [0, 2],
  [2, 4],
  [4, 6],
  [6, 8],
] as const

/** A client's access to a swarm of four servers. */
type Run<T> = (model: AutoDistributedModelForCausalLM, bytesSent: () => number) => Promise<T>

/**
 * Starts four servers of the demo model in this process, each behind a link of its own, and a client of them. `run` is
 * given what tells the bytes of hidden states that have gone over all ways together, so far.
 */
export async function withSwarm<T>(options: LinkOptions, run: Run<T>): Promise<T> {
  const logger = pino({ level: 'silent' })
  const checkpoint = await openCheckpoint(MODEL)
  const ends: (() => Promise<void>)[] = []
  const bootstrap: string[] = []
  const nodes: SwarmNode[] = []
  const bytesSent = (): number =>
    nodes.reduce((sum, { traffic: { inference, push } }) => {
      return sum + inference.bytesReceived + inference.bytesSent + push.bytesReceived
    }, 0)
  try {
    for (const [start, end] of SPANS) {
      const port = await freePort()
      const link = await Link.open(port, options)
      ends.unshift(() => link.close())
      const node = await createSwarmNode({
        identity: await loadIdentity(),
        listen: [`/ip4/127.0.0.1/tcp/${port}`],
        announce: [`/ip4/127.0.0.1/tcp/${link.port}`],
        bootstrap,
        logger,
      })
      await node.start()
      nodes.push(node)
      ends.unshift(() => node.stop())
      if (bootstrap.length > 0) await node.ready()
      const common = { device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 8192 } as const
      const server = await serve(node, { checkpoint, start, end, ...common }, logger)
      ends.unshift(() => server.stop())
      if (bootstrap.length === 0) bootstrap.push(node.multiaddrs[0]!)
    }
    const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap, threads: 1 })
    ends.unshift(() => model.close())
    // Until the node has measured its links, a step could look late.
    await sleep(2500)
    return await run(model, bytesSent)
  } finally {
    for (const end of ends) await end()
  }
}
