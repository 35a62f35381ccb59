import type { FloatDType } from '../tensor/dtype.ts'
import type { Graph } from './builder.ts'
import { LORA_A, LORA_MASK, loraInputs } from './lora-names.ts'
import type { LoraLowering } from './lowering.ts'
import { add, matMulTransposed, mul } from './ops.ts'
import { matMul } from './primitive-ops.ts'
import { lastDim } from './shapes.ts'
import type { Value } from './value.ts'

/** A linear layer that adapters may change; `name` is its name within the block. */
export interface LoraModule {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
  /** Whether the graph takes its matrix A as [in, ranks] rather than [ranks, in]. */
  readonly transposesA: boolean
}

/** A module as the layer that it belongs to describes it. */
type LoraLayer = Omit<LoraModule, 'transposesA'>

/**
 * Adds what adapters contribute to a linear layer's `product`: product + ((x A^T) * mask) B, with x [rows, tokens, in]
 * (Hu et al., "LoRA"). The matrices of all adapters of a run are stacked along `ranks`, and the mask selects each row's
 * own, so that every row of a batch may use another adapter (Chen et al., "Punica"). A [ranks, in] and B [ranks, out],
 * already scaled, are inputs of the graph: loading an adapter builds no new session.
 */
export function addLora(g: Graph, x: Value, product: Value, module: LoraLayer, lowering: LoraLowering): Value {
  const { masked, transposesA } = lowering
  const { name, outFeatures } = module
  const names = loraInputs(name)
  const dtype = x.dtype as FloatDType
  const mask = masked ? maskOf(g, dtype) : undefined
  const inFeatures = lastDim(x.shape) ?? 1
  const a = g.input(names.a, dtype, transposesA ? [inFeatures, 'ranks'] : ['ranks', inFeatures])
  const b = g.input(names.b, dtype, ['ranks', outFeatures])
  const down = transposesA ? matMul(g, x, a, `${name}.lora_down`) : matMulTransposed(g, x, a, `${name}.lora_down`)
  const low = mask === undefined ? down : mul(g, down, mask, `${name}.lora_mask`)
  return add(g, product, matMul(g, low, b, `${name}.lora_up`), `${name}.add_lora`)
}

function maskOf(g: Graph, dtype: FloatDType): Value {
  return g.inputs.find((input) => input.name === LORA_MASK) ?? g.input(LORA_MASK, dtype, ['rows', 1, 'ranks'])
}

/** The names of all inputs of a graph that take adapters' matrices. */
export function loraInputNames(graph: Pick<Graph, 'inputs'>): string[] {
  return loraModules(graph).flatMap(({ name }) => Object.values(loraInputs(name)))
}

/** The linear layers that adapters may change, read from the inputs of a graph that was built for adapters. */
export function loraModules({ inputs }: Pick<Graph, 'inputs'>): LoraModule[] {
  return inputs
    .filter(({ name }) => name.startsWith(LORA_A))
    .map(({ name, shape }) => {
      const module = name.slice(LORA_A.length)
      const b = inputs.find((input) => input.name === loraInputs(module).b)!
      const transposesA = typeof shape[0] === 'number'
      return {
        name: module,
        inFeatures: Number(shape[transposesA ? 0 : 1]),
        outFeatures: Number(b.shape[1]),
        transposesA,
      }
    })
}
