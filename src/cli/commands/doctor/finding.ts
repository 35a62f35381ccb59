/**
 * `problem`: something that was asked for will not work. `note`: everything works, but the user should know something.
 */
export type Verdict = 'ok' | 'note' | 'problem'

/** The result of one check. */
export interface Finding {
  readonly check: string
  readonly verdict: Verdict
  readonly found: string
  /** What to do about it. */
  readonly cure?: string
}

/** What was checked is as it should be. */
export function ok(check: string, found: string): Finding {
  return { check, verdict: 'ok', found }
}

/** What was checked works, and may deserve a look. */
export function note(check: string, found: string, cure?: string): Finding {
  return { check, verdict: 'note', found, ...(cure !== undefined && { cure }) }
}

/** What was checked does not work. */
export function problem(check: string, found: string, cure?: string): Finding {
  return { check, verdict: 'problem', found, ...(cure !== undefined && { cure }) }
}

const CHECK_WIDTH = 14
const VERDICT_WIDTH = 9

/** A finding as text, with the cure indented below it. */
export function renderFinding({ check, verdict, found, cure }: Finding): string {
  const head = `${check.padEnd(CHECK_WIDTH)}${verdict.padEnd(VERDICT_WIDTH)}`
  const indent = ' '.repeat(CHECK_WIDTH + VERDICT_WIDTH)
  const lines = [...found.split('\n'), ...(cure === undefined ? [] : [`-> ${cure}`])]
  return lines.map((line, i) => `${i === 0 ? head : indent}${line}\n`).join('')
}
