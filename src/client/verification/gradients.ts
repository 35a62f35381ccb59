import { PetalsError } from '../../base/errors.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { AutoDistributedModelForCausalLM } from '../model/model.ts'
import type { Golden } from './golden.ts'
import { type Outcome, compareGradients, notAskedFor } from './rows.ts'

/** Families whose embeddings transformers scales in the table's own module: its inputs_embeds are the blocks' input. */
const SCALED_IN_TABLE: ReadonlySet<string> = new Set(['gemma', 'gemma2', 'gemma3_text'])

/** The names of gradients: of the loss with respect to what the model computes on the way. */
export const GRADIENT = /^(?:inputs_embeds|block0_input|block\d+_output)_grad$/

/** The gradients that a reference has. */
export function gradientNames({ tensors }: Golden): string[] {
  return [...tensors.keys()].filter((name) => GRADIENT.test(name))
}

/**
 * Compares gradients of the mean loss, through servers that are cut at `cuts`: the last block's from the head here, all
 * others as servers pass them on. Where a server computes no gradients, the rows say so.
 */
export async function checkGradients(
  model: AutoDistributedModelForCausalLM,
  golden: Golden,
  cuts: readonly number[],
): Promise<Outcome[]> {
  const { inputIds, tensors } = golden
  const names = gradientNames(golden)
  if (names.length === 0 || inputIds.length === 0) return []
  try {
    const found = await gradientsOf(model, inputIds, cuts)
    return names.flatMap((name) => {
      const values = found.get(name)
      return values === undefined ? [] : [compareGradients(name, asFloat32(values), asFloat32(tensors.get(name)!))]
    })
  } catch (error) {
    if (!(error instanceof PetalsError) || error.code !== 'TRAINING_OFF') throw error
    return names.map((name) => notAskedFor(name, error.message))
  }
}

async function gradientsOf(
  model: AutoDistributedModelForCausalLM,
  inputIds: Golden['inputIds'],
  cuts: readonly number[],
): Promise<Map<string, Tensor>> {
  const { ends, layers, checkpoint } = model
  const { numBlocks, hiddenSize, modelType } = checkpoint.config
  const ids = inputIds.flat()
  const shape = [inputIds.length, inputIds[0]!.length, hiddenSize]
  const embedded = fromFloat32(asFloat32(await ends.embed(ids)), shape)
  const output = await layers.forward(embedded, { cuts })
  const last = fromFloat32(await lossGradient(model, inputIds, output), shape)
  const found = new Map([[`block${numBlocks - 1}_output_grad`, last]])
  for (let from = numBlocks - 1; from >= 0; from--) {
    const input = from === 0 ? embedded : await layers.slice(0, from).forward(embedded, { cuts })
    const { hidden } = await layers.slice(from).backward(input, last, { cuts })
    found.set(from === 0 ? 'block0_input_grad' : `block${from - 1}_output_grad`, hidden)
  }
  const ofInput = found.get('block0_input_grad')!
  const ofRows = SCALED_IN_TABLE.has(modelType)
    ? ofInput
    : fromFloat32(await ends.embeddingGradient(ids, asFloat32(ofInput).slice()), shape)
  return found.set('inputs_embeds_grad', ofRows)
}

/** The gradient of the mean loss of each token given those before it, with respect to the last block's output. */
async function lossGradient(
  { ends }: AutoDistributedModelForCausalLM,
  inputIds: Golden['inputIds'],
  output: Tensor,
): Promise<Float32Array> {
  const tokens = inputIds[0]!.length
  const isPredicted = (i: number): boolean => (i + 1) % tokens !== 0
  const ids = inputIds.flat()
  const count = inputIds.length * (tokens - 1)
  const targets = Int32Array.from(ids, (_, i) => (isPredicted(i) ? ids[i + 1]! : 0))
  const weights = Float32Array.from(ids, (_, i) => (isPredicted(i) ? 1 / count : 0))
  const { gradient } = await ends.loss(asFloat32(output).slice(), targets, weights, { gradient: true })
  return gradient!
}
