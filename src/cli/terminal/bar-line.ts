import { REST_OF_LINE } from './logger.ts'

const BAR_WIDTH = 24

/** How far some work is. */
export interface Shown {
  /** From 0 to 1. */
  readonly share: number
  readonly detail: string
}

/** A bar on a terminal. The cursor stays at the line's beginning, so that log lines overwrite the bar. */
export class BarLine {
  readonly #what: string

  constructor(what: string) {
    this.#what = what
  }

  /** Draws the bar anew. */
  update({ share, detail }: Shown): void {
    const bar = '='.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH)
    const line = `${this.#what} [${bar}] ${Math.floor(share * 100)}% ${detail}`
    process.stderr.write(`${line.slice(0, process.stderr.columns - 1)}${REST_OF_LINE}\r`)
  }

  stop(): void {
    process.stderr.write(REST_OF_LINE)
  }
}

/** The time left in words, behind a comma; nothing where it is a moment, or not known. */
export function leftText(seconds: number | undefined): string {
  if (seconds === undefined || seconds < 1) return ''
  if (seconds < 100) return `, ${Math.round(seconds)} s left`
  return seconds < 6000 ? `, ${Math.round(seconds / 60)} min left` : `, ${Math.round(seconds / 3600)} h left`
}
