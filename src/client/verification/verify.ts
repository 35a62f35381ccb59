import { errorMessage } from '../../base/errors.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { AutoDistributedModelForCausalLM, CausalLMSession } from '../model/model.ts'
import type { Golden, GreedyCase } from './golden.ts'
import { GRADIENT, checkGradients, gradientNames } from './gradients.ts'
import {
  type Outcome,
  type VerifyRow,
  compare,
  compareIds,
  compareTensors,
  failed,
  logProbability,
  notAskedFor,
} from './rows.ts'

/** Sizes, in tokens, of the pieces in which prompts are fed in sessions, besides the whole prompt. */
const CHUNKS = [1, 5, 64]

const PROMPTED = 'logits_with_deep_prompts'

const NOT_YET: readonly [RegExp, string][] = [[/^stats$/, 'the text that this was measured on is not in the file']]

/** How to compare. */
export interface PartitionOptions {
  /** Why the servers compute no gradients, if it is known that they do not: these are not compared then. */
  readonly withoutGradients?: string | undefined
  /** What the servers compute in (default: float32), which says how far their results may be off. */
  readonly dtype?: FloatDType | undefined
}

/** What is compared with what: the model's swarm, cut at some blocks, with a file's results. */
interface Comparison {
  readonly model: AutoDistributedModelForCausalLM
  readonly golden: Golden
  readonly cuts: readonly number[]
  /** What the servers compute in. */
  readonly dtype: FloatDType
}

/**
 * Compares what a model's swarm computes with a reference while the chain of servers is cut at `cuts`. Yields a row for
 * each comparison as it is made; failures are rows, too. Only servers compute blocks.
 */
export async function* verifyPartition(
  model: AutoDistributedModelForCausalLM,
  golden: Golden,
  cuts: readonly number[],
  { withoutGradients, dtype = 'float32' }: PartitionOptions = {},
): AsyncGenerator<VerifyRow> {
  const comparison: Comparison = { model, golden, cuts, dtype }
  const cut = cuts.join(',')
  const rows = (path: string, outcomes: readonly Outcome[]): VerifyRow[] =>
    outcomes.map((outcome) => ({ cut, path, ...outcome }))
  yield* rows('forward', await attempt('forward', () => checkForward(comparison)))
  if (withoutGradients === undefined)
    yield* rows('backward', await attempt('backward', () => checkGradients(model, golden, cuts)))
  else
    yield* rows(
      'backward',
      gradientNames(golden).map((name) => notAskedFor(name, withoutGradients)),
    )
  const prompts = [
    ...comparedSequences(model, golden),
    ...golden.greedy.map(({ ids, promptLength }) => ids.slice(0, promptLength)),
  ]
  const prompt = Math.max(0, ...prompts.map(({ length }) => length))
  for (const chunk of [prompt, ...CHUNKS.filter((size) => size < prompt)]) {
    const path = chunk === prompt ? 'inference, prompt in one piece' : `inference, prompt in pieces of ${chunk}`
    yield* rows(path, await attempt('inference', () => checkInference(comparison, chunk)))
  }
}

/** A row for everything in the file that no partition can check. */
export function uncheckable(golden: Golden): VerifyRow[] {
  const names = [...golden.unread, ...[...golden.tensors.keys()].filter((name) => !isChecked(name))]
  return names.map((name) => {
    const known = NOT_YET.find(([pattern]) => pattern.test(name))
    const outcome =
      known === undefined ? failed(name, 'nothing is known to compare this with') : notAskedFor(name, known[1])
    return { cut: '', path: '', ...outcome }
  })
}

function isChecked(name: string): boolean {
  return (
    GRADIENT.test(name) ||
    /^(?:block0_input|block\d+_output|logits|loss|deep_prompts|logits_with_deep_prompts)$/.test(name)
  )
}

async function attempt(what: string, check: () => Promise<Outcome[]>): Promise<Outcome[]> {
  try {
    return await check()
  } catch (error) {
    return [failed(what, errorMessage(error))]
  }
}

async function checkForward({ model, golden, cuts, dtype }: Comparison): Promise<Outcome[]> {
  const { inputIds, tensors } = golden
  const [rows, tokens] = [inputIds.length, inputIds[0]?.length ?? 0]
  if (rows === 0) return []
  const { numBlocks, hiddenSize, vocabSize } = model.checkpoint.config
  const embedded = fromFloat32(asFloat32(await model.ends.embed(inputIds.flat())), [rows, tokens, hiddenSize])
  const check = (name: string, values: Tensor): Outcome[] => checkAgainst(tensors, name, values, dtype)
  // Embedded here, where float32 is computed in.
  const outcomes = checkAgainst(tensors, 'block0_input', embedded, 'float32')
  let hidden = embedded
  for (let end = 1; end <= numBlocks; end++) {
    hidden = await model.layers.slice(0, end).forward(embedded, { cuts })
    outcomes.push(...check(`block${end - 1}_output`, hidden))
  }
  const logits = fromFloat32(await model.ends.head(asFloat32(hidden).slice()), [rows, tokens, vocabSize])
  outcomes.push(...check('logits', logits))
  outcomes.push(...check('loss', fromFloat32(Float32Array.of(meanLoss(logits, inputIds)), [1])))
  const prompts = promptsOf(model, golden)
  if (prompts === undefined && tensors.has(PROMPTED))
    outcomes.push(notAskedFor(PROMPTED, 'transformers keeps the angles of the longest text that it has seen before'))
  if (prompts !== undefined) {
    const prompted = await model.layers.forward(embedded, { cuts, prompts })
    outcomes.push(...check(PROMPTED, fromFloat32(await model.ends.head(asFloat32(prompted).slice()), logits.shape)))
  }
  return outcomes
}

function checkAgainst(tensors: Golden['tensors'], name: string, values: Tensor, dtype: FloatDType): Outcome[] {
  const reference = tensors.get(name)
  return reference === undefined ? [] : [compareTensors(name, values, reference, dtype)]
}

/** Mean cross-entropy of each token given those before it. */
function meanLoss(logits: Tensor, inputIds: readonly (readonly number[])[]): number {
  const values = asFloat32(logits)
  const vocab = logits.shape[2]!
  const losses = inputIds.flatMap((ids, row) =>
    ids.slice(1).map((id, i) => {
      const at = (row * ids.length + i) * vocab
      return -logProbability(values.subarray(at, at + vocab), id)
    }),
  )
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

/** Feeds prompts in pieces of `chunk` tokens. Runs all texts of the file at once: their steps share device runs. */
async function checkInference(comparison: Comparison, chunk: number): Promise<Outcome[]> {
  const { model, golden, dtype } = comparison
  const prompts = promptsOf(model, golden)
  const run = (wanted: Golden['inputIds'], given?: Tensor) =>
    Promise.all(wanted.map((ids) => runPrompt(comparison, ids, chunk, given)))
  const sequences = run(comparedSequences(model, golden))
  const prompted = run(prompts === undefined ? [] : golden.inputIds, prompts)
  const texts = golden.greedy.map((text) => checkGreedy(comparison, text, chunk))
  const [outputs, promptedOutputs, compared] = await Promise.all([sequences, prompted, Promise.all(texts)])
  const outcomes: Outcome[] = []
  const wanted = golden.tensors.get(PROMPTED)
  if (prompts !== undefined && wanted !== undefined)
    outcomes.push(compare(PROMPTED, joined(promptedOutputs.map(({ logits }) => logits)), asFloat32(wanted), dtype))
  for (const [name, values] of [
    [lastOutput(model), outputs.map(({ hidden }) => hidden)],
    ['logits', outputs.map(({ logits }) => logits)],
  ] as const) {
    const reference = golden.tensors.get(name)
    if (reference !== undefined) outcomes.push(compare(name, joined(values), asFloat32(reference), dtype))
  }
  return [...outcomes, ...compared.flat()]
}

/** The reference's deep prompts, if transformers' use of them does not depend on earlier computations. */
function promptsOf(model: AutoDistributedModelForCausalLM, { inputIds, tensors }: Golden): Tensor | undefined {
  const tokens = inputIds[0]?.length ?? 0
  const depends = model.checkpoint.config.ropes.some(
    (rope) => rope.type === 'dynamic' && tokens > rope.originalMaxPositions,
  )
  return depends ? undefined : tensors.get('deep_prompts')
}

function lastOutput(model: AutoDistributedModelForCausalLM): string {
  return `block${model.checkpoint.config.numBlocks - 1}_output`
}

/** The file's sequences, if it has results of inference to compare. */
function comparedSequences(model: AutoDistributedModelForCausalLM, { inputIds, tensors }: Golden): Golden['inputIds'] {
  return tensors.has(lastOutput(model)) || tensors.has('logits') ? inputIds : []
}

async function runPrompt(
  { model, cuts }: Comparison,
  ids: readonly number[],
  chunk: number,
  prompts?: Tensor,
): Promise<{ hidden: Float32Array; logits: Float32Array }> {
  const session = model.inferenceSession({ maxLength: ids.length, cuts, prompts })
  try {
    const hidden = await feed(session, ids, chunk)
    return { hidden, logits: await model.ends.head(hidden.slice()) }
  } finally {
    await session.close()
  }
}

async function checkGreedy({ model, cuts, dtype }: Comparison, text: GreedyCase, chunk: number): Promise<Outcome[]> {
  const { vocabSize } = model.checkpoint.config
  const ids = text.ids.slice(0, text.promptLength)
  const logprobs: number[] = []
  const session = model.inferenceSession({ maxLength: text.ids.length, cuts })
  try {
    let logits = await model.ends.head(await feed(session, ids, chunk))
    for (let i = 1; i < ids.length; i++)
      logprobs.push(logProbability(logits.subarray((i - 1) * vocabSize, i * vocabSize), ids[i]!))
    while (ids.length < text.ids.length) {
      const latest = logits.subarray(logits.length - vocabSize)
      const id = latest.reduce((best, logit, i) => (logit > latest[best]! ? i : best), 0)
      logprobs.push(logProbability(latest, id))
      ids.push(id)
      if (ids.length < text.ids.length) logits = await session.next([id])
    }
  } finally {
    await session.close()
  }
  const outcomes = [compareIds(text.name, ids, text.ids)]
  if (text.logprobs.length === 0) return outcomes
  return [
    ...outcomes,
    compare(
      text.logprobsName,
      Float32Array.from(logprobs.slice(text.logprobsFrom - 1)),
      Float32Array.from(text.logprobs),
      dtype,
    ),
  ]
}

/** Sends a prompt in pieces of `chunk` tokens; returns the last block's outputs for all of it. */
async function feed(session: CausalLMSession, ids: readonly number[], chunk: number): Promise<Float32Array> {
  const outputs: Float32Array[] = []
  for (let at = 0; at < ids.length; at += chunk) outputs.push(asFloat32(await session.step(ids.slice(at, at + chunk))))
  return joined(outputs)
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
