import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

interface RingNode {
  readonly process: ChildProcess
  readonly address: string
}

/** `size` processes in a ring; the first plays the client, the others may pause before they send on. */
export class BareRing {
  readonly #nodes: readonly RingNode[]

  static async start(size: number, bytes: number, pauseMs = 0): Promise<BareRing> {
    const nodes = await Promise.all(
      Array.from({ length: size }, async () => {
        const process = fork(new URL('./ring-node.ts', import.meta.url), [String(bytes), String(pauseMs)])
        const { address } = await answer<{ address: string }>(process)
        return { process, address }
      }),
    )
    for (const [i, { process }] of nodes.entries()) {
      process.send({ next: nodes[(i + 1) % size]!.address })
      await answer(process)
    }
    return new BareRing(nodes)
  }

  private constructor(nodes: readonly RingNode[]) {
    this.#nodes = nodes
  }

  /** Milliseconds of each of `turns` turns, one after another. */
  async turn(turns: number): Promise<number[]> {
    const { process } = this.#nodes[0]!
    process.send({ turns })
    return (await answer<{ times: number[] }>(process)).times
  }

  stop(): void {
    for (const { process } of this.#nodes) process.disconnect()
  }
}

async function answer<T>(process: ChildProcess): Promise<T> {
  const [message] = (await once(process, 'message')) as [T]
  return message
}
