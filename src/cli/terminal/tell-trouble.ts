import { REST_OF_LINE } from './logger.ts'

/** Says on stderr what is the matter while a command goes on, in the form of its errors. */
export function tellTrouble(trouble: string): void {
  const rest = process.stderr.isTTY ? REST_OF_LINE : ''
  process.stderr.write(`petals-node: ${trouble}${rest}\n`)
}
