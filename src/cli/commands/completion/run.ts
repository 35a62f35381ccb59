import { UsageError } from '../../../base/errors.ts'
import { oneOf } from '../../options/option-table.ts'
import type { CommandContext } from '../command.ts'
import { completionScript } from './completion-script.ts'
import { type CompletionValues, SHELLS } from './options.ts'

/** Prints the completion script on stdout. */
export async function runCompletion(
  values: CompletionValues,
  { commands }: CommandContext,
  argument: string | undefined,
): Promise<void> {
  const shell = SHELLS.find((known) => known === (argument ?? values.shell))
  if (shell === undefined)
    throw new UsageError(`there is no script for ${argument}; there are some for ${oneOf(SHELLS)}`)
  process.stdout.write(completionScript(shell, commands))
}
