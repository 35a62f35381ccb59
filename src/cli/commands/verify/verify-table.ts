import type { FloatDType } from '../../../tensor/dtype.ts'
import type { VerifyRow } from '../../../client/verification/rows.ts'
import { toleranceText } from '../../../client/verification/tolerance.ts'

const MARKS = { true: 'ok', false: 'FAILED', null: '-' } as const

/** Prints rows as they come, and their totals at the end. */
export class VerifyTable {
  readonly #out: NodeJS.WritableStream
  readonly #limits = new Set<FloatDType>()
  #cut: string | undefined

  constructor(out: NodeJS.WritableStream) {
    this.#out = out
  }

  /** Writes a row, under the heading of its cut. */
  add({ cut, path, tensor, maxAbs, tolerance, toleranceFor, ok, reason }: VerifyRow): void {
    if (cut !== this.#cut) {
      this.#cut = cut
      this.#out.write(cut === '' ? '\nnot compared\n' : `\ncut at ${cut}\n`)
    }
    const figures = maxAbs === null ? '' : `${maxAbs.toExponential(1)} of ${tolerance!.toExponential(1)}`
    if (toleranceFor !== null) this.#limits.add(toleranceFor)
    const columns = [
      MARKS[`${ok}`].padEnd(7),
      tensor.padEnd(28),
      figures.padEnd(20),
      (toleranceFor ?? '').padEnd(10),
      path,
    ]
    this.#out.write(`  ${columns.join('')}${reason === undefined ? '' : `  ${reason}`}\n`)
  }

  /** Writes what came of all rows. */
  finish(rows: readonly VerifyRow[]): void {
    const count = (wanted: boolean | null): number => rows.filter(({ ok }) => ok === wanted).length
    this.#out.write('\n')
    for (const dtype of this.#limits) this.#out.write(`limit for ${dtype}: ${toleranceText(dtype)}\n`)
    this.#out.write(`${count(true)} ok, ${count(false)} failed, ${count(null)} not compared yet\n`)
  }
}
