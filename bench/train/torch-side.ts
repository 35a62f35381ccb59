import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

const SCRIPT = new URL('./torch_side.py', import.meta.url).pathname

/** What is computed. */
export interface TorchSideOptions {
  readonly configFile: string
  readonly batch: number
  readonly tokens: number
  readonly threads: number
}

/** A process that computes the same passes with PyTorch; one round at a time, so that rounds of others alternate. */
export class TorchSide {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface

  /** Undefined where no Python with torch and transformers is found: `PYTHON` names it, or else python3. */
  static async start(options: TorchSideOptions): Promise<TorchSide | undefined> {
    const { configFile, batch, tokens, threads } = options
    const python = process.env['PYTHON'] ?? 'python3'
    const args = [SCRIPT, configFile, ...[batch, tokens, threads].map(String)]
    const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    const failed = once(child, 'error').then(
      () => false,
      () => false,
    )
    const side = new TorchSide(child)
    const isReady = await Promise.race([side.#next().then((line) => line === 'ready'), failed])
    if (isReady) return side
    side.stop()
    return undefined
  }

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child
    this.#reader = createInterface({ input: child.stdout })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  /** Seconds of one forward and backward pass. */
  async round(): Promise<number> {
    this.#child.stdin.write('\n')
    return Number(await this.#next())
  }

  stop(): void {
    this.#reader.close()
    this.#child.kill()
  }

  async #next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next()
    return done === true ? undefined : value
  }
}
