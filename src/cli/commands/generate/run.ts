import { UsageError } from '../../../base/errors.ts'
import { orAborted } from '../../../base/abort.ts'
import type { GenerationResult } from '../../../client/generation/result.ts'
import type { AutoDistributedModelForCausalLM, Prompt } from '../../../client/model/model.ts'
import type { GenerationOptions } from '../../../sampling/options/options.ts'
import { deriveSeed } from '../../../sampling/random.ts'
import type { CommandContext } from '../command.ts'
import { requireSwarm } from '../../join/addresses.ts'
import { openClient } from '../../join/open-client.ts'
import { Cleanup } from '../../process/cleanup.ts'
import { EXIT_CODES } from '../../process/exit-codes.ts'
import { createLogger } from '../../terminal/logger.ts'
import { TextPrinter, describeResult, describeWaiting } from '../../terminal/text-printer.ts'
import { toGenerationOptions } from '../../values/generation-values.ts'
import { generateLines } from './batch.ts'
import { describeLogprobs } from './logprobs.ts'
import type { GenerateValues } from './options.ts'
import { readConstraint } from './constraint.ts'
import { readPrompt } from './prompt.ts'

const NEW_TOKENS = 64

/** Prints a continuation while it is generated. Rejects with an `InterruptedError` if it is interrupted. */
export async function runGenerate(
  values: GenerateValues,
  { shutdown: { signal } }: CommandContext,
  argument: string | undefined,
): Promise<void> {
  const cleanup = new Cleanup()
  try {
    await readConstraint(values)
    const prompt = values.batch === undefined ? await orAborted(readPrompt(values, argument), signal) : undefined
    if (prompt === undefined && argument !== undefined)
      throw new UsageError(`--batch ${values.batch}: what is ${JSON.stringify(argument)} for? The file has the prompts`)
    requireSwarm(values)
    await orAborted(generate(values, prompt, cleanup, signal), signal)
  } finally {
    await cleanup.run()
  }
}

async function generate(
  values: GenerateValues,
  prompt: Prompt | undefined,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<void> {
  const logger = await createLogger(values.logLevel)
  const model = await openClient(values, { logger, cleanup, signal })
  if (prompt === undefined) return generateBatch(values, model, signal)
  const { numBeams, numReturnSequences } = values
  checkIds(values, prompt, model.checkpoint.config.vocabSize)
  const options = await optionsFor(values, model, prompt, signal)
  if (values.json || (numBeams ?? 1) > 1 || (numReturnSequences ?? 1) > 1) {
    tellWaiting(model)
    const results = await model.generate([prompt], options)
    signal.throwIfAborted()
    await printAll(model, results, values)
    return
  }
  const printer = new TextPrinter(model)
  const result = await printer.print(prompt, options)
  printer.note(describeResult(result))
  if (values.logprobs) for (const line of await describeLogprobs(model, result)) printer.note(line)
}

/** Prints a line of JSON for each line of the batch's file as soon as it and those before it are done. */
async function generateBatch(
  values: GenerateValues,
  model: AutoDistributedModelForCausalLM,
  signal: AbortSignal,
): Promise<void> {
  tellWaiting(model)
  const textsEach = Math.max(values.numBeams ?? 1, values.numReturnSequences ?? 1)
  const generateTexts = async (prompt: Prompt, index: number): Promise<GenerationResult[]> => {
    const { seed, ...options } = await optionsFor(values, model, prompt, signal)
    const results = await model.generate([prompt], { ...options, seed: deriveSeed(seed, 'prompt', index) })
    signal.throwIfAborted()
    return results
  }
  let lines = 0
  let failed = 0
  for await (const line of generateLines(values.batch!, { textsEach, generate: generateTexts })) {
    signal.throwIfAborted()
    process.stdout.write(`${JSON.stringify(line)}\n`)
    lines++
    if (line.error !== undefined) failed++
    for (const figures of line.results?.map((result) => describeResult(result)) ?? [line.error!.message])
      process.stderr.write(`line ${line.line}: ${figures}\n`)
  }
  if (failed === 0) return
  process.stderr.write(`petals-node: ${failed} of ${lines} lines failed\n`)
  process.exitCode = EXIT_CODES.failed
}

/** The options for a prompt, whose length bounds that of the text. */
async function optionsFor(
  values: GenerateValues,
  model: AutoDistributedModelForCausalLM,
  prompt: Prompt,
  signal: AbortSignal,
): Promise<GenerationOptions> {
  const { length } = await model.encode(prompt)
  const constraint = await readConstraint(values)
  return { ...toGenerationOptions(values, model.checkpoint.generation, NEW_TOKENS, length), constraint, signal }
}

function tellWaiting(model: AutoDistributedModelForCausalLM): void {
  model.on('waiting', (waiting) => process.stderr.write(`${describeWaiting(waiting)}\n`))
}

/** Prints texts that are complete, one below the other with an empty line between. */
async function printAll(
  model: AutoDistributedModelForCausalLM,
  results: readonly GenerationResult[],
  { json, logprobs }: GenerateValues,
): Promise<void> {
  if (json) {
    process.stdout.write(`${JSON.stringify({ results }, undefined, 2)}\n`)
    return
  }
  const texts = results.map(({ text, tokenIds }) => (model.tokenizer === undefined ? tokenIds.join(' ') : text))
  process.stdout.write(texts.map((text) => `${text}\n`).join('\n'))
  for (const result of results) {
    const lines = logprobs ? await describeLogprobs(model, result) : []
    process.stderr.write([describeResult(result), ...lines].map((line) => `${line}\n`).join(''))
  }
}

/** Throws `USAGE` for a token id that the model does not have. */
function checkIds({ promptIds }: GenerateValues, prompt: Prompt, vocabSize: number): void {
  if (promptIds === undefined || typeof prompt === 'string') return
  const unknown = prompt.find((id) => id >= vocabSize)
  if (unknown !== undefined)
    throw new UsageError(`--prompt-ids ${promptIds}: ${unknown} is no token; this model has 0 to ${vocabSize - 1}`)
}
