import type { CommandContext } from '../command.ts'
import { completionScript } from '../reference/completion-script.ts'
import type { CompletionValues, Shell } from './options.ts'

/** Prints the completion script on stdout. */
export async function runCompletion({ shell }: CompletionValues, { commands }: CommandContext): Promise<void> {
  process.stdout.write(completionScript(shell as Shell, commands))
}
