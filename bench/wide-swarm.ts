import { pino } from 'pino'
import type { WireChoice } from '../src/client/remote/routes/wire-dtype.ts'
import type { SwarmAccess } from '../src/client/remote/swarm-access.ts'
import { InferenceSession } from '../src/client/session/inference-session.ts'
import { ReplayMemory } from '../src/client/session/inputs/replay-memory.ts'
import { loadIdentity } from '../src/swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../src/swarm/node/node.ts'
import { MemoryNetwork } from '../test/client/session/network.ts'
import { TestServer } from '../test/client/session/servers.ts'
import { Link, type LinkOptions, freePort } from '../test/link.ts'

const SPANS = [
  [0, 3],
  [3, 6],
] as const
const logger = pino({ level: 'silent' })

/** Two servers that only stand in for blocks, each behind a link: what a session takes beside computation. */
export class WideSwarm {
  readonly #client: SwarmNode
  readonly #hiddenSize: number
  readonly #servers: TestServer[] = []
  readonly #nodes: SwarmNode[] = []
  readonly #links: Link[] = []

  static async start(options: LinkOptions, hiddenSize: number): Promise<WideSwarm> {
    const client = await startNode([])
    const swarm = new WideSwarm(client, hiddenSize)
    for (const span of SPANS) await swarm.#serve(options, span)
    return swarm
  }

  private constructor(client: SwarmNode, hiddenSize: number) {
    this.#client = client
    this.#hiddenSize = hiddenSize
  }

  /** Bytes of hidden states that have gone over all ways together, so far. */
  bytesSent(): number {
    return this.#nodes.reduce((sum, { traffic: { inference, push } }) => {
      return sum + inference.bytesReceived + inference.bytesSent + push.bytesReceived
    }, 0)
  }

  session(wireDType: WireChoice): InferenceSession {
    const servers = this.#servers
    const swarm: SwarmAccess = {
      modelKey: 'test',
      records: () => servers.map((server) => server.record()),
      refresh: async () => undefined,
      open: (server, rpc, signal) => this.#client.open(server, rpc, { signal }),
      avoided: () => new Set(),
      avoid: () => undefined,
    }
    return new InferenceSession(swarm, {
      start: 0,
      end: SPANS.at(-1)![1],
      hiddenSize: this.#hiddenSize,
      wireDType,
      maxLength: 2048,
      allocTimeoutMs: 5000,
      connectTimeoutMs: 20_000,
      pullsCopies: false,
      replayMemory: new ReplayMemory(),
      recoveryTimeoutMs: 60_000,
      watchdog: { lateMs: 500, answerMs: 20_000, minStepMs: 120_000, stepTimeoutMs: 300_000 },
    })
  }

  async stop(): Promise<void> {
    for (const node of [this.#client, ...this.#nodes]) await node.stop()
    for (const link of this.#links) await link.close()
  }

  async #serve(options: LinkOptions, span: readonly [number, number]): Promise<void> {
    const port = await freePort()
    const link = await Link.open(port, options)
    this.#links.push(link)
    const node = await startNode([`/ip4/127.0.0.1/tcp/${port}`], `/ip4/127.0.0.1/tcp/${link.port}`)
    this.#nodes.push(node)
    const targetOf = (peerId: string) => this.#servers.find(({ id }) => id === peerId)!.record()
    const peer = new MemoryNetwork().join(node.peerId)
    const server = new TestServer(new MemoryNetwork(), peer, span, 8192, { node, targetOf })
    server.multiaddrs = node.multiaddrs
    await server.blocks.start()
    this.#servers.push(server)
  }
}

async function startNode(listen: string[], announce?: string): Promise<SwarmNode> {
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen,
    announce: announce === undefined ? [] : [announce],
    logger,
  })
  await node.start()
  return node
}
