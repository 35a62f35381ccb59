import type { VerifyRow } from '../../client/verification/rows.ts'

const MARKS = { true: 'ok', false: 'FAILED', null: '-' } as const

/** Prints rows as they come, and their totals at the end. */
export class VerifyTable {
  readonly #out: NodeJS.WritableStream
  #cut: string | undefined

  constructor(out: NodeJS.WritableStream) {
    this.#out = out
  }

  add({ cut, path, tensor, maxAbs, tolerance, ok, reason }: VerifyRow): void {
    if (cut !== this.#cut) {
      this.#cut = cut
      this.#out.write(cut === '' ? '\nnot compared\n' : `\ncut at ${cut}\n`)
    }
    const figures = maxAbs === null ? '' : `${maxAbs.toExponential(1)} of ${tolerance!.toExponential(1)}`
    const columns = [MARKS[`${ok}`].padEnd(7), tensor.padEnd(28), figures.padEnd(20), path]
    this.#out.write(`  ${columns.join('')}${reason === undefined ? '' : `  ${reason}`}\n`)
  }

  finish(rows: readonly VerifyRow[]): void {
    const count = (wanted: boolean | null): number => rows.filter(({ ok }) => ok === wanted).length
    this.#out.write(`\n${count(true)} ok, ${count(false)} failed, ${count(null)} not compared yet\n`)
  }
}
