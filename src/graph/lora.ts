import type { FloatDType } from '../tensor/dtype.ts'
import type { Graph } from './builder.ts'
import { LORA_A, LORA_MASK, loraInputs } from './lora-names.ts'
import { add, matMulTransposed, mul } from './ops.ts'
import { matMul } from './primitive-ops.ts'
import { lastDim } from './shapes.ts'
import type { Value } from './value.ts'

/** A linear layer that adapters may change, by its name within the block. */
export interface LoraModule {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
}

/**
 * `product`, which module `name` makes of x [rows, tokens, in], plus ((x A^T) * mask) B: all adapters of a run lie
 * behind one another along `ranks`, so that each row of a batch may have another one (Hu et al., "LoRA"; Chen et al.,
 * "Punica"). A [ranks, in] and B [ranks, out], scaled, are inputs: to load an adapter builds nothing.
 */
export function addLora(g: Graph, x: Value, product: Value, name: string, outFeatures: number): Value {
  const names = loraInputs(name)
  const dtype = x.dtype as FloatDType
  const mask = g.inputs.find((input) => input.name === LORA_MASK) ?? g.input(LORA_MASK, dtype, ['rows', 1, 'ranks'])
  const a = g.input(names.a, dtype, ['ranks', lastDim(x.shape) ?? 1])
  const b = g.input(names.b, dtype, ['ranks', outFeatures])
  const low = mul(g, matMulTransposed(g, x, a, `${name}.lora_down`), mask, `${name}.lora_mask`)
  return add(g, product, matMul(g, low, b, `${name}.lora_up`), `${name}.add_lora`)
}

/** The names of all adapters' matrices that a graph takes. */
export function loraInputNames(graph: Pick<Graph, 'inputs'>): string[] {
  return loraModules(graph).flatMap(({ name }) => Object.values(loraInputs(name)))
}

/** The modules of a graph that was built for adapters. */
export function loraModules({ inputs }: Pick<Graph, 'inputs'>): LoraModule[] {
  return inputs
    .filter(({ name }) => name.startsWith(LORA_A))
    .map(({ name, shape }) => {
      const module = name.slice(LORA_A.length)
      const b = inputs.find((input) => input.name === loraInputs(module).b)!
      return { name: module, inFeatures: Number(shape[1]), outFeatures: Number(b.shape[1]) }
    })
}
