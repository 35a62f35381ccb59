import { UsageError } from '../../../base/errors.ts'
import type { Adapter, AdapterModule } from '../../../checkpoint/adapter/adapter.ts'
import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import { type AdaptableLayer, adaptableLayers } from '../../../families/graphs/fit-adapter.ts'
import { type Tensor, fromFloat32 } from '../../../tensor/tensor.ts'
import { type Parameter, parameter, valuesNow } from '../parameter.ts'
import { uniformValues } from './draws.ts'

/** One linear layer's matrices while they are trained. */
export interface LoraModule {
  /** The layer's name in the whole model. */
  readonly name: string
  /** A [rank, in] and B [out, rank]. */
  readonly a: Parameter
  readonly b: Parameter
}

/** A LoRA adapter of the blocks while it is trained. */
export interface TrainedLora {
  readonly rank: number
  readonly alpha: number
  /** The names of the layers that were asked for; undefined: all. */
  readonly targetModules: readonly string[] | undefined
  readonly modules: readonly LoraModule[]
}

export interface LoraOptions {
  readonly rank: number
  readonly alpha: number
  /** Layers by the ends of their names, as `q_proj`; all linear layers of the blocks by default. */
  readonly targetModules?: readonly string[] | undefined
  readonly seed: number
}

/**
 * A new adapter as PEFT begins one: A drawn evenly up to 1 / sqrt(in) (Kaiming's, with a = sqrt(5)), B zero, so that it
 * changes nothing yet (Hu et al., "LoRA"). Throws `USAGE` for options that cannot be.
 */
export async function newLora(
  config: ModelConfig,
  { rank, alpha, targetModules, seed }: LoraOptions,
): Promise<TrainedLora> {
  if (!Number.isInteger(rank) || rank < 1 || rank > config.hiddenSize)
    throw new UsageError(`rank is ${rank}: expected 1 to ${config.hiddenSize}, beyond which there is nothing to change`)
  if (!(alpha > 0 && Number.isFinite(alpha))) throw new UsageError(`alpha is ${alpha}: expected a number above 0`)
  const modules: LoraModule[] = []
  for (const { name, inFeatures, outFeatures } of chosen(adaptableLayers(config), targetModules)) {
    const bound = 1 / Math.sqrt(inFeatures)
    const drawn = await uniformValues(rank * inFeatures, bound, seed, `lora ${name}`)
    modules.push({
      name,
      a: parameter(`${name}.lora_A`, [rank, inFeatures], drawn),
      b: parameter(`${name}.lora_B`, [outFeatures, rank]),
    })
  }
  return { rank, alpha, targetModules, modules }
}

function chosen(layers: readonly AdaptableLayer[], names: readonly string[] | undefined): readonly AdaptableLayer[] {
  if (names === undefined) return layers
  const unknown = names.find((name) => !layers.some((layer) => isNamed(layer.name, name)))
  if (unknown === undefined && names.length > 0)
    return layers.filter((layer) => names.some((name) => isNamed(layer.name, name)))
  const there = [...new Set(layers.map(({ name }) => name.split('.').at(-1)))].join(', ')
  throw new UsageError(`targetModules: ${unknown ?? 'none'} is no linear layer of the blocks; there are ${there}`)
}

function isNamed(layer: string, name: string): boolean {
  return layer === name || layer.endsWith(`.${name}`)
}

/** The matrices as they are now; not copied. */
export function loraPairs({ modules }: TrainedLora): Map<string, { readonly a: Tensor; readonly b: Tensor }> {
  return new Map(modules.map(({ name, a, b }) => [name, { a: tensorOf(a), b: tensorOf(b) }]))
}

/** A copy of the adapter as it is now. */
export async function adapterNow(lora: TrainedLora, name: string): Promise<Adapter> {
  const scaling = lora.alpha / lora.rank
  const modules: AdapterModule[] = []
  for (const { name, a, b } of lora.modules)
    modules.push({ name, a: await valuesNow(a), b: await valuesNow(b), scaling })
  return { name, modules }
}

function tensorOf({ values, shape }: Parameter): Tensor {
  return fromFloat32(values, shape)
}
