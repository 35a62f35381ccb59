import { convert } from '../tensor/convert.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { fromFloat32 } from '../tensor/tensor.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { linear } from './linear.ts'
import { addLora } from './lora.ts'
import { lowerLinear, type Target } from './lowering.ts'
import type { ExpertsOptions } from './expert-parts.ts'
import { expertWeights } from './expert-weights.ts'
import { mixtureOfExperts } from './moe.ts'
import {
  add,
  cast,
  gather,
  gelu,
  layerNorm,
  mul,
  quickGelu,
  relu,
  reshape,
  rmsNorm,
  scale,
  softcap,
  splitAxis,
} from './ops.ts'
import { lastDim } from './shapes.ts'
import type { Value } from './value.ts'

type Activation = (g: Graph, x: Value, name: string) => Value

const silu: Activation = (g, x, name) => quickGelu(g, x, 1, name)
const geluTanh: Activation = (g, x, name) => gelu(g, x, 'tanh', name)

/** By transformers' names. */
const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ['silu', silu],
  ['swish', silu],
  ['gelu', (g, x, name) => gelu(g, x, 'none', name)],
  ['gelu_new', geluTanh],
  ['gelu_fast', geluTanh],
  ['gelu_pytorch_tanh', geluTanh],
  ['quick_gelu', (g, x, name) => quickGelu(g, x, 1.702, name)],
  ['relu', relu],
])

export const ACTIVATION_NAMES: readonly string[] = [...ACTIVATIONS.keys()]

/** The layers that models are written in: each declares its own parameters, named as in the checkpoint. */
export class Layers {
  readonly graph: Graph
  readonly dtype: FloatDType
  readonly #target: Target

  /** Throws `GRAPH_UNSUPPORTED` where the target's device cannot compute in its dtype. */
  constructor(graph: Graph, target: Target) {
    this.graph = graph
    this.dtype = target.dtype
    this.#target = target
    lowerLinear(target)
  }

  /** ids int64 [...] -> rows of the table `name`.weight, [..., size]. */
  embedding(ids: Value, name: string, numRows: number, size: number): Value {
    const table = this.graph.parameter({
      name: `${name}.weight`,
      dtype: this.dtype,
      shape: [numRows, size],
      placement: 'external',
      packed: false,
      source: { kind: 'stored' },
    })
    return gather(this.graph, table, ids, name)
  }

  /** x [..., in] -> [..., outFeatures]: by `name`.weight [out, in], plus `name`.bias where the model has one. */
  linear(x: Value, name: string, outFeatures: number, options: { readonly bias: boolean }): Value {
    const base = linear(this.graph, this.#target, x, name, outFeatures)
    const product = this.#target.adapters === true ? addLora(this.graph, x, base, name, outFeatures) : base
    return options.bias
      ? add(this.graph, product, this.#vector(`${name}.bias`, outFeatures), `${name}.add_bias`)
      : product
  }

  /** The scores by which tokens choose their experts, x [..., in] -> [..., numExperts]: in full precision always. */
  router(x: Value, name: string, numExperts: number): Value {
    return linear(this.graph, { ...this.#target, quant: 'none' }, x, name, numExperts)
  }

  /** x [..., n], normalised by its root mean square and scaled by `name`.weight [n], plus `offset`. */
  rmsNorm(x: Value, name: string, eps: number, offset = 0): Value {
    const weight = this.#vector(`${name}.weight`, this.#channels(x, name))
    const scaling =
      offset === 0 ? weight : add(this.graph, weight, this.#number(offset, `${name}.offset`), `${name}.add_offset`)
    return rmsNorm(this.graph, x, scaling, eps, name)
  }

  /** As `rmsNorm`, of each head by itself: x [..., heads * headDim], `name`.weight [headDim]. */
  headRmsNorm(x: Value, name: string, headDim: number, eps: number, offset = 0): Value {
    const heads = reshape(
      this.graph,
      x,
      [...x.shape.slice(0, -1), this.#channels(x, name) / headDim, headDim],
      `${name}.split_heads`,
    )
    return reshape(this.graph, this.rmsNorm(heads, name, eps, offset), x.shape, `${name}.merge_heads`)
  }

  /** x [..., n], with mean 0 and variance 1, scaled by `name`.weight [n], plus `name`.bias [n]. */
  layerNorm(x: Value, name: string, eps: number): Value {
    const size = this.#channels(x, name)
    return layerNorm(this.graph, x, this.#vector(`${name}.weight`, size), this.#vector(`${name}.bias`, size), eps, name)
  }

  /**
   * The weighted sum of each token's best experts: x [rows, tokens, hidden], scores [rows, tokens, experts] -> the same
   * as x.
   */
  experts(x: Value, scores: Value, name: string, options: ExpertsOptions): Value {
    const { gateUp, down, slices, quant } = expertWeights(this.graph, this.#target, name, options)
    return mixtureOfExperts(this.graph, { x, scores, gateUp, down }, { ...options, slices, quant }, name)
  }

  /** `activation` as transformers names it, one of `ACTIVATION_NAMES`; throws `GRAPH_UNSUPPORTED` for others. */
  activation(x: Value, activation: string, name: string): Value {
    const apply = ACTIVATIONS.get(activation)
    if (apply === undefined) {
      throw new GraphError(
        'GRAPH_UNSUPPORTED',
        `activation ${activation}`,
        `only ${ACTIVATION_NAMES.join(', ')} are supported`,
      )
    }
    return apply(this.graph, x, name)
  }

  add(a: Value, b: Value, name: string): Value {
    return add(this.graph, a, b, name)
  }

  mul(a: Value, b: Value, name: string): Value {
    return mul(this.graph, a, b, name)
  }

  /** Each element times a constant. */
  scale(x: Value, factor: number, name: string): Value {
    return scale(this.graph, x, factor, name)
  }

  /** x times constants of this shape, broadcast. */
  scaleEach(x: Value, factors: Float32Array, shape: readonly number[], name: string): Value {
    return mul(
      this.graph,
      x,
      this.graph.constant(`${name}.factors`, convert(fromFloat32(factors, shape), x.dtype)),
      name,
    )
  }

  /** Each element rounded to another float type, in its own. */
  roundTo(x: Value, dtype: FloatDType, name: string): Value {
    return cast(this.graph, cast(this.graph, x, dtype, `${name}.to`), x.dtype, name)
  }

  /** cap * tanh(x / cap) */
  softcap(x: Value, cap: number, name: string): Value {
    return softcap(this.graph, x, cap, name)
  }

  /** x [..., sum of sizes] -> one value for each size. */
  split(x: Value, sizes: readonly number[], name: string): Value[] {
    return splitAxis(this.graph, x, x.shape.length - 1, sizes, name)
  }

  /**
   * A fused projection x [..., groups * sum(counts) * headDim], each group's heads of all kinds behind one another,
   * taken apart: one value [..., groups * count * headDim] for each count.
   */
  splitGroups(x: Value, groups: number, counts: readonly number[], headDim: number, name: string): Value[] {
    const outer = x.shape.slice(0, -1)
    const perGroup = counts.reduce((sum, count) => sum + count, 0)
    return this.graph.scope(name, () => {
      const grouped = reshape(this.graph, x, [...outer, groups, perGroup, headDim], 'groups')
      const parts = splitAxis(this.graph, grouped, outer.length + 1, counts, 'split')
      return parts.map((part, i) => reshape(this.graph, part, [...outer, groups * counts[i]! * headDim], 'merge'))
    })
  }

  #number(value: number, name: string): Value {
    return this.graph.constant(name, convert(fromFloat32(Float32Array.of(value), [1]), this.dtype))
  }

  #vector(name: string, size: number): Value {
    return this.graph.parameter({
      name,
      dtype: this.dtype,
      shape: [size],
      placement: 'inline',
      packed: false,
      source: { kind: 'stored' },
    })
  }

  #channels(x: Value, name: string): number {
    const channels = lastDim(x.shape)
    if (typeof channels !== 'number') {
      throw new GraphError(
        'GRAPH_SHAPE',
        `node ${this.graph.nodeName(name)}`,
        `the last axis of ${x.name} must have a fixed size`,
      )
    }
    return channels
  }
}
