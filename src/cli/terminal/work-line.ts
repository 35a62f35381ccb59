import { BarLine, type Shown } from './bar-line.ts'
import { REST_OF_LINE } from './logger.ts'

const INTERVAL_MS = 10_000

/**
 * Shows how far the work of a command is on stderr, beside lines that stay: as a bar on a terminal, elsewhere as a line
 * every ten seconds.
 */
export class WorkLine {
  readonly #what: string
  readonly #bar: BarLine | undefined
  readonly #now: () => number
  #toldAt: number

  constructor(
    what: string,
    {
      now = () => performance.now(),
      isTerminal = process.stderr.isTTY,
    }: { now?: () => number; isTerminal?: boolean } = {},
  ) {
    this.#what = what
    this.#bar = isTerminal ? new BarLine(what) : undefined
    this.#now = now
    this.#toldAt = now()
  }

  /** Shows how far the work is: draws the bar, or writes a line now and then where there is no terminal. */
  update(shown: Shown): void {
    if (this.#bar !== undefined) {
      this.#bar.update(shown)
      return
    }
    if (this.#now() - this.#toldAt < INTERVAL_MS) return
    this.#toldAt = this.#now()
    process.stderr.write(`${this.#what}: ${Math.floor(shown.share * 100)}%, ${shown.detail}\n`)
  }

  /** Writes a line that stays; a bar goes on below it. */
  note(line: string): void {
    process.stderr.write(`${line}${this.#bar === undefined ? '' : REST_OF_LINE}\n`)
  }

  /** Takes the bar away. */
  stop(): void {
    this.#bar?.stop()
  }
}
