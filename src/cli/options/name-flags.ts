import { UsageError } from '../../base/errors.ts'
import { FLAG_OF_OPTION } from './tables/answer-flags.ts'
import { type OptionTable, flagOf } from './option-table.ts'

/**
 * An error about usage in the words of the command line: names of the library's options, which have a capital letter
 * within, become flags. Any other error is returned as it is.
 */
export function nameFlags(error: unknown, table: OptionTable): unknown {
  if (!(error instanceof UsageError)) return error
  const flags = new Map([
    ...Object.keys(table).map((name) => [name, flagOf(name)] as const),
    ...Object.entries(FLAG_OF_OPTION),
  ])
  const message = error.message.replaceAll(/(?<![\w/.-])[a-z]+[A-Z]\w*\b/g, (word) => flags.get(word) ?? word)
  return message === error.message ? error : new UsageError(message, { cause: error })
}
