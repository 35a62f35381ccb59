import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChildNode } from '../../src/cli/process/child-node.ts'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'
import { type Span, spanText } from '../../src/base/span.ts'
import { type RunningServer, serve } from '../../src/server/serve.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { CPU } from '../../src/runtime/device.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../src/swarm/node/node.ts'
import { Link } from '../link.ts'
import { DEMO } from '../client/kit.ts'
import { silent } from '../swarm/kit.ts'
import { type Lie, makeLiar } from './liar.ts'
import type { Decision } from './troubles.ts'

/** So slow that a token takes a second and more, and yet alive. */
const CRAWL = { delayMs: 150, bytesPerSecond: 20_000 }

/** A free port that outgoing connections do not take either while the server is not there, as systems choose theirs. */
async function keptPort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000)
    const probe = createServer().listen(port, '127.0.0.1')
    try {
      await once(probe, 'listening')
    } catch {
      continue
    }
    probe.close()
    await once(probe, 'close')
    return port
  }
}

const address = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`

/**
 * A server in a process of its own that others reach through a link only. It keeps its identity and its port when it is
 * started again, as one does that runs under systemd.
 */
export class HurtServer {
  readonly name: string
  readonly span: Span
  readonly #args: readonly string[]
  readonly #link: Link
  #node: ChildNode | undefined
  #report: ReadyReport | undefined

  /** Starts it; resolves when it serves. `folder` is where its identity is kept. */
  static async start(name: string, span: Span, bootstrap: string, folder: string): Promise<HurtServer> {
    const port = await keptPort()
    const link = await Link.open(port)
    const args = ['serve', '--model', DEMO, '--blocks', spanText(span), '--threads', '1', '--metrics-port', '0']
    const cache = ['--attn-cache-tokens', '8192', '--drain-timeout', '2', '--log-level', 'warn']
    const place = ['--listen', address(port), '--announce', address(link.port), '--bootstrap', bootstrap]
    const identity = ['--identity', join(folder, `${name}.key`)]
    const server = new HurtServer(name, span, [...args, ...cache, ...place, ...identity], link)
    await server.#start()
    return server
  }

  private constructor(name: string, span: Span, args: readonly string[], link: Link) {
    this.name = name
    this.span = span
    this.#args = args
    this.#link = link
  }

  get metricsPort(): number {
    return this.#report!.metricsPort!
  }

  /** Starts its process, once the last one is gone; resolves when it serves. */
  async #start(): Promise<void> {
    const node = new ChildNode(`server ${this.name}`, this.#args)
    this.#node = node
    this.#report = await node.ready()
  }

  /** Carries out a decision; resolves when the server is well again. */
  async suffer({ trouble, lengthMs }: Decision): Promise<void> {
    const { process } = this.#node!
    if (trouble === 'killed' || trouble === 'drained') {
      const gone = once(process, 'exit')
      process.kill(trouble === 'killed' ? 'SIGKILL' : 'SIGTERM')
      await gone
      await sleep(lengthMs / 4)
      return this.#start()
    }
    if (trouble === 'stopped') process.kill('SIGSTOP')
    else if (trouble === 'slowed') this.#link.become(CRAWL)
    else this.#link.cut()
    await sleep(lengthMs)
    process.kill('SIGCONT')
    this.#link.become({})
    this.#link.restore()
  }

  async stop(): Promise<void> {
    this.#node!.process.kill('SIGCONT')
    await this.#node!.stop()
    await this.#link.close()
  }
}

/** A server in this process that answers as it should, except while it is told to lie. */
export class LyingServer {
  readonly name: string
  numLies = 0
  #lie: Lie | undefined
  readonly #node: SwarmNode
  #server: RunningServer | undefined

  static async start(name: string, [start, end]: Span, bootstrap: string): Promise<LyingServer> {
    const liar = new LyingServer(
      name,
      await createSwarmNode({
        identity: await loadIdentity(),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        bootstrap: [bootstrap],
        logger: silent,
      }),
    )
    try {
      await liar.#serve(start, end)
    } catch (error) {
      await liar.stop()
      throw error
    }
    return liar
  }

  private constructor(name: string, node: SwarmNode) {
    this.name = name
    this.#node = node
    makeLiar(node, () => {
      if (this.#lie !== undefined) this.numLies++
      return this.#lie
    })
  }

  async #serve(start: number, end: number): Promise<void> {
    await this.#node.start()
    await this.#node.ready()
    const checkpoint = await openCheckpoint(DEMO)
    const common = { device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 8192 } as const
    // What it promises draws clients to it.
    this.#server = await serve(this.#node, { checkpoint, start, end, ...common, throughput: 1e5 }, silent)
  }

  /** Lies for a while. */
  async suffer({ lie, lengthMs }: Decision): Promise<void> {
    this.#lie = lie
    await sleep(lengthMs)
    this.#lie = undefined
  }

  async stop(): Promise<void> {
    await this.#server?.stop()
    await this.#node.stop()
  }
}
