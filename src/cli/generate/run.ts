import { UsageError } from '../../base/errors.ts'
import type { GenerationResult } from '../../client/generation/result.ts'
import type { AutoDistributedModelForCausalLM, Prompt } from '../../client/model/model.ts'
import { requireBootstrap } from '../join/addresses.ts'
import { Cleanup } from '../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import type { GenerateValues } from './options.ts'
import { toGenerationOptions } from '../values/generation-values.ts'
import { createLogger } from '../terminal/logger.ts'
import { openClient } from '../join/open-client.ts'
import { orAborted } from '../../base/abort.ts'
import { TextPrinter, describeResult, describeWaiting } from '../terminal/text-printer.ts'

const NEW_TOKENS = 64

/** Prints a continuation while it is generated. Rejects with an `InterruptedError` if it is interrupted. */
export async function runGenerate(values: GenerateValues, { shutdown: { signal } }: CommandContext): Promise<void> {
  const prompt = readPrompt(values)
  requireBootstrap(values.bootstrap)
  const cleanup = new Cleanup()
  try {
    await orAborted(generate(values, prompt, cleanup, signal), signal)
  } finally {
    await cleanup.run()
  }
}

async function generate(values: GenerateValues, prompt: Prompt, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
  const model = await openClient(values, await createLogger(values.logLevel), cleanup, signal)
  const { numBeams, numReturnSequences } = values
  const { length } = await model.encode(prompt)
  checkIds(values, prompt, model.checkpoint.config.vocabSize)
  const options = { ...toGenerationOptions(values, model.checkpoint.generation, NEW_TOKENS, length), signal }
  if (values.json || (numBeams ?? 1) > 1 || (numReturnSequences ?? 1) > 1) {
    model.on('waiting', (waiting) => process.stderr.write(`${describeWaiting(waiting)}\n`))
    const results = await model.generate([prompt], options)
    signal.throwIfAborted()
    printAll(model, results, values.json)
    return
  }
  const printer = new TextPrinter(model)
  printer.note(describeResult(await printer.print(prompt, options)))
}

/** Prints texts that are complete, one below the other with an empty line between. */
function printAll(model: AutoDistributedModelForCausalLM, results: readonly GenerationResult[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ results }, undefined, 2)}\n`)
    return
  }
  const texts = results.map(({ text, tokenIds }) => (model.tokenizer === undefined ? tokenIds.join(' ') : text))
  process.stdout.write(texts.map((text) => `${text}\n`).join('\n'))
  for (const result of results) process.stderr.write(`${describeResult(result)}\n`)
}

/** Throws `USAGE` for a token id that the model does not have. */
function checkIds({ promptIds }: GenerateValues, prompt: Prompt, vocabSize: number): void {
  if (promptIds === undefined || typeof prompt === 'string') return
  const unknown = prompt.find((id) => id >= vocabSize)
  if (unknown !== undefined)
    throw new UsageError(`--prompt-ids ${promptIds}: ${unknown} is no token; this model has 0 to ${vocabSize - 1}`)
}

function readPrompt({ prompt, promptIds }: GenerateValues): Prompt {
  if (prompt !== undefined) return prompt
  if (promptIds === undefined)
    throw new UsageError('what should be continued? Give --prompt TEXT or --prompt-ids ID,ID,...')
  if (!/^\d+(\s*,\s*\d+)*$/.test(promptIds.trim())) {
    throw new UsageError(
      `--prompt-ids ${promptIds === '' ? '""' : promptIds}: expected token ids with commas between, like 5,17,3`,
    )
  }
  return promptIds.split(',').map(Number)
}
