import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { UsageError, errorMessage } from '../../../base/errors.ts'
import type { Prompt } from '../../../client/model/model.ts'
import type { GenerateValues } from './options.ts'

/** Stands for stdin in the place of a text or a file. */
export const STDIN = '-'

/**
 * The prompt that a command line gives: its argument, --prompt, --prompt-ids, --prompt-file, or what comes on stdin. A
 * line end at the end of a file or of stdin is what editors and `echo` put there, and does not belong to the prompt.
 * Throws `USAGE` for none, for an empty one, and for more than one.
 */
export async function readPrompt(
  { prompt, promptIds, promptFile }: Pick<GenerateValues, 'prompt' | 'promptIds' | 'promptFile'>,
  argument: string | undefined,
): Promise<Prompt> {
  if (argument !== undefined && (prompt ?? promptIds ?? promptFile) !== undefined)
    throw new UsageError(`what should be continued, ${JSON.stringify(argument)} or what the options say? Give one`)
  if (promptIds !== undefined) return readIds(promptIds)
  if (promptFile !== undefined) return fromFile(promptFile)
  const text = argument ?? prompt
  if (text !== undefined && text !== STDIN) return text
  if (text === undefined && process.stdin.isTTY)
    throw new UsageError('what should be continued? Give --prompt TEXT, --prompt-file FILE or --prompt-ids ID,ID,...')
  const piped = withoutLineEnd(await readAll(process.stdin))
  if (piped !== '') return piped
  throw new UsageError('what should be continued? Nothing came on stdin; or give --prompt TEXT')
}

/** Reads --prompt-ids. Throws `USAGE`. */
function readIds(text: string): number[] {
  if (/^\d+(\s*,\s*\d+)*$/.test(text.trim())) return text.split(',').map(Number)
  throw new UsageError(`--prompt-ids ${text === '' ? '""' : text}: expected token ids with commas between, like 5,17,3`)
}

async function fromFile(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`--prompt-file ${file}: ${errorMessage(error)}`, { cause: error })
  })
  const prompt = withoutLineEnd(text)
  if (prompt === '') throw new UsageError(`--prompt-file ${file}: it is empty`)
  return prompt
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}
