import { text as readAll } from 'node:stream/consumers'
import { UsageError } from '../../../base/errors.ts'
import { orAborted } from '../../../base/abort.ts'
import { openModel } from '../../../checkpoint/open-model.ts'
import { Tokenizer } from '../../../checkpoint/tokenizer/tokenizer.ts'
import { compileTemplate } from '../../../client/chat/jinja-template.ts'
import { findTemplate } from '../../../client/chat/template-source.ts'
import { BUNDLED_MODEL } from '../../values/bundled-model.ts'
import { readMessages, shown } from '../../values/messages.ts'
import type { CommandContext } from '../command.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { TokenizeValues } from './options.ts'
import { tellTrouble } from '../../terminal/tell-trouble.ts'

/** Prints ids, a text or a prompt; only the model's small files are needed. Throws `USAGE` without a tokenizer. */
export async function runTokenize(
  values: TokenizeValues,
  { shutdown: { signal } }: CommandContext,
  argument: string | undefined,
): Promise<void> {
  const cleanup = new Cleanup()
  try {
    await orAborted(tokenize(values, argument, cleanup, signal), signal)
  } finally {
    await cleanup.run()
  }
}

async function tokenize(
  values: TokenizeValues,
  argument: string | undefined,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<void> {
  const model = values.model ?? BUNDLED_MODEL
  const checkpoint = await openModel(model, {
    signal,
    maxDiskSpaceBytes: values.maxDiskSpace,
    onTrouble: tellTrouble,
  })
  if (!checkpoint.hasTokenizer) throw new UsageError(`--model ${model}: it has no tokenizer.json`)
  const { folder, config } = checkpoint
  const tokenizer = await Tokenizer.load(folder)
  cleanup.add(() => tokenizer.close())
  const input = argument ?? (await readAll(process.stdin))
  if (values.decode) {
    process.stdout.write(`${await tokenizer.decode(readIds(input, config.vocabSize))}\n`)
    return
  }
  if (!values.chat) {
    printIds(await tokenizer.encode(input))
    return
  }
  const messages = readMessages(input, '--chat')
  const prompt = compileTemplate(await findTemplate(folder, values.template)).render(messages)
  // The template writes the special tokens itself.
  if (values.ids) printIds(await tokenizer.encode(prompt, { addSpecialTokens: false }))
  else process.stdout.write(prompt)
}

function printIds(ids: readonly number[]): void {
  process.stdout.write(`${JSON.stringify(ids)}\n`)
}

function readIds(text: string, vocabSize: number): number[] {
  const inner = /^\s*(?:\[([\d\s,]*)\]|([\d\s,]*))\s*$/.exec(text)
  if (inner === null) throw new UsageError(`--decode: expected token ids like [5,17,3], not ${shown(text)}`)
  const words = (inner[1] ?? inner[2] ?? '').split(/[\s,]+/).filter((word) => word !== '')
  const unknown = words.find((word) => Number(word) >= vocabSize)
  if (unknown !== undefined)
    throw new UsageError(`--decode: ${unknown} is no token; this model has 0 to ${vocabSize - 1}`)
  return words.map(Number)
}
