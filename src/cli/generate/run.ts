import { UsageError } from '../../base/errors.ts'
import { AutoDistributedModelForCausalLM, type Prompt } from '../../client/model.ts'
import { requireBootstrap } from '../addresses.ts'
import { BUNDLED_MODEL } from '../bundled-model.ts'
import { Cleanup } from '../cleanup.ts'
import type { CommandContext } from '../command.ts'
import type { GenerateValues } from '../generate.ts'
import { createLogger } from '../logger.ts'
import { orAborted } from '../shutdown.ts'
import { TextPrinter, describeResult } from '../text-printer.ts'

/** Prints the continuation as it comes. Rejects with an `InterruptedError` where it was cut short. */
export async function runGenerate(values: GenerateValues, { shutdown: { signal } }: CommandContext): Promise<void> {
  const prompt = readPrompt(values)
  requireBootstrap(values.bootstrap)
  const logger = await createLogger(values.logLevel)
  const cleanup = new Cleanup()
  try {
    await orAborted(generate(values, prompt, logger, cleanup, signal), signal)
  } finally {
    await cleanup.run()
  }
}

async function generate(
  values: GenerateValues, prompt: Prompt, logger: Awaited<ReturnType<typeof createLogger>>, cleanup: Cleanup, signal: AbortSignal,
): Promise<void> {
  const { bootstrap, dhtPrefix, threads, spin, maxNewTokens, temperature, topK, topP, seed, stop: stopStrings } = values
  const model = await AutoDistributedModelForCausalLM.fromPretrained(values.model ?? BUNDLED_MODEL, { bootstrap, dhtPrefix, threads, spin, logger })
  cleanup.add(() => model.close())
  signal.throwIfAborted()
  const printer = new TextPrinter(model)
  const result = await printer.print(prompt, { maxNewTokens, temperature, topK, topP, seed, stopStrings, signal })
  printer.note(describeResult(result))
}

function readPrompt({ prompt, promptIds }: GenerateValues): Prompt {
  if (prompt !== undefined && promptIds !== undefined) throw new UsageError('give either --prompt or --prompt-ids, not both')
  if (prompt !== undefined) return prompt
  if (promptIds === undefined) throw new UsageError('what should be continued? Give --prompt TEXT or --prompt-ids ID,ID,...')
  if (!/^\d+(\s*,\s*\d+)*$/.test(promptIds.trim())) {
    throw new UsageError(`--prompt-ids ${promptIds === '' ? '""' : promptIds}: expected token ids with commas between, like 5,17,3`)
  }
  return promptIds.split(',').map(Number)
}
