import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { PetalsError } from '../../base/errors.ts'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import { withoutOptions } from '../options/environment.ts'
import type { ReadyMessage, ReadyReport } from './ready-file.ts'

const LAUNCHER = fileURLToPath(new URL('bin/petals-node', PACKAGE_ROOT))
const MAX_LINES = 10
const MAX_LINE_CHARS = 2000
const STOP_TIMEOUT_MS = 5000

/**
 * A node in a child process. It watches the IPC channel and stops when this process ends, in whatever way. Ctrl-C in a
 * terminal does not reach it, because it has a process group of its own.
 */
export class ChildNode {
  readonly process: ChildProcess
  readonly #name: string
  readonly #lines: string[] = []
  #stopping = false

  /** Starts `petals-node ARGS`; `name` is used in messages. */
  constructor(name: string, args: readonly string[]) {
    this.#name = name
    this.process = spawn(process.execPath, [LAUNCHER, ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
      env: withoutOptions(process.env),
    })
    this.#keepLastLines()
  }

  /**
   * What the node reports when it serves. Rejects with `CHILD_FAILED`, quoting its last output, if it ends before that.
   */
  ready(): Promise<ReadyReport> {
    const { promise, resolve, reject } = Promise.withResolvers<ReadyReport>()
    this.process.on('message', (message) => {
      if ((message as ReadyMessage).type === 'ready') resolve((message as ReadyMessage).report)
    })
    this.process.once('error', (error) =>
      reject(new PetalsError('CHILD_FAILED', `cannot start ${this.#name}: ${error.message}`)),
    )
    this.process.once('close', () => reject(new PetalsError('CHILD_FAILED', this.#lastWords())))
    return promise
  }

  /** Calls `listener` if the node ends without having been stopped. */
  onDeath(listener: (exit: string) => void): void {
    this.process.once('exit', () => {
      if (!this.#stopping) listener(this.#exit())
    })
  }

  /** Ends the node without waiting for its sessions; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.process.pid === undefined || !isAlive(this.process)) return
    const exited = once(this.process, 'exit')
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_TIMEOUT_MS)
    if (this.process.connected) this.process.disconnect()
    else this.process.kill('SIGTERM')
    await exited
    clearTimeout(timer)
  }

  #keepLastLines(): void {
    let rest = ''
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = (lines.pop() ?? '').slice(-MAX_LINE_CHARS)
      this.#lines.push(...lines.map((line) => readable(line.slice(0, MAX_LINE_CHARS))))
      this.#lines.splice(0, this.#lines.length - MAX_LINES)
    })
  }

  #lastWords(): string {
    return [`${this.#name} ended before it was ready (${this.#exit()}); it said last:`, ...this.#lines].join('\n  ')
  }

  #exit(): string {
    const { exitCode, signalCode } = this.process
    return signalCode === null ? `exit code ${exitCode}` : signalCode
  }
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

/** The message of a JSON log line; any other line as it is. */
function readable(line: string): string {
  try {
    const { msg } = JSON.parse(line) as { msg?: unknown }
    return typeof msg === 'string' ? msg : line
  } catch {
    return line
  }
}
