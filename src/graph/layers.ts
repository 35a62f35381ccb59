import { convert } from '../tensor/convert.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { fromFloat32 } from '../tensor/tensor.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { type ChosenExperts, chooseExperts } from './chosen-experts.ts'
import { chosenMixture } from './chosen-mixture.ts'
import { type ExpertShares, expertShares } from './expert-shares.ts'
import { linear } from './linear.ts'
import { addLora } from './lora.ts'
import { lowerExperts, lowerLinear, lowerLora, type Target } from './lowering.ts'
import type { ExpertsOptions } from './expert-parts.ts'
import { expertWeights, singleExpertWeights } from './expert-weights.ts'
import { mixtureOfExperts } from './moe.ts'
import { route, type Routing, type RoutingOptions } from './routing.ts'
import {
  add,
  cast,
  concatLast,
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
import { type HeadMatrices, linearByHeads } from './head-linear.ts'
import { clamp, sigmoid } from './primitive-ops.ts'
import { wideMixture } from './wide-mixture.ts'
import { roundToBfloat16 } from './round-to-bfloat16.ts'
import { lastDim } from './shapes.ts'
import type { Value } from './value.ts'

type Activation = (g: Graph, x: Value, name: string) => Value

const silu: Activation = (g, x, name) => quickGelu(g, x, 1, name)
const geluTanh: Activation = (g, x, name) => gelu(g, x, 'tanh', name)

/** So et al., "Primer: Searching for Efficient Transformers for Language Modeling". */
const reluSquared: Activation = (g, x, name) => {
  const positive = relu(g, x, `${name}.relu`)
  return mul(g, positive, positive, name)
}

/** Activation functions by transformers' names. */
const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ['silu', silu],
  ['swish', silu],
  ['gelu', (g, x, name) => gelu(g, x, 'none', name)],
  ['gelu_new', geluTanh],
  ['gelu_fast', geluTanh],
  ['gelu_pytorch_tanh', geluTanh],
  ['quick_gelu', (g, x, name) => quickGelu(g, x, 1.702, name)],
  ['relu', relu],
  ['relu2', reluSquared],
])

export const ACTIVATION_NAMES: readonly string[] = [...ACTIVATIONS.keys()]

/**
 * The layers that model families are written in. Each method adds a layer's nodes and declares its parameters, named as
 * in the checkpoint.
 */
export class Layers {
  readonly graph: Graph
  readonly dtype: FloatDType
  readonly #target: Target

  /** Throws `GRAPH_UNSUPPORTED` if the target's device cannot compute in the target's dtype. */
  constructor(graph: Graph, target: Target) {
    this.graph = graph
    this.dtype = target.dtype
    this.#target = target
    lowerLinear(target)
  }

  /** Embeds ids int64 [...] by the table `name`.weight [numRows, size]: [..., size]. */
  embedding(ids: Value, name: string, numRows: number, size: number): Value {
    const table = this.graph.parameter({
      name: `${name}.weight`,
      dtype: this.dtype,
      shape: [numRows, size],
      placement: 'external',
      prepacked: false,
      source: { kind: 'stored' },
    })
    return gather(this.graph, table, ids, name)
  }

  /**
   * A linear layer: x [..., in] times the transpose of `name`.weight [out, in], plus `name`.bias [out] if `bias`: [...,
   * outFeatures].
   */
  linear(x: Value, name: string, outFeatures: number, options: { readonly bias: boolean }): Value {
    const base = linear(this.graph, this.#target, x, name, outFeatures)
    const module = { name, inFeatures: this.#channels(x, name), outFeatures }
    const { adapters = false } = this.#target
    const product = adapters ? addLora(this.graph, x, base, module, lowerLora(this.#target)) : base
    return options.bias
      ? add(this.graph, product, this.vector(`${name}.bias`, outFeatures), `${name}.add_bias`)
      : product
  }

  /**
   * Each head's channels x [rows, tokens, heads * in] times a matrix of its own: [rows, tokens, heads * out]. Never
   * quantized and out of adapters' reach.
   */
  linearByHeads(x: Value, name: string, options: HeadMatrices): Value {
    return linearByHeads(this.graph, this.#target, x, name, options)
  }

  /** Joins the channels of heads: each x [..., heads * its dim] -> [..., heads * sum of dims]. */
  joinHeads(parts: readonly Value[], heads: number, name: string): Value {
    return this.graph.scope(name, () => {
      const outer = parts[0]!.shape.slice(0, -1)
      const split = parts.map((part) =>
        reshape(this.graph, part, [...outer, heads, this.#channels(part, name) / heads], 'split_heads'),
      )
      const joined = concatLast(this.graph, split, 'join')
      return reshape(this.graph, joined, [...outer, heads * this.#channels(joined, name)], 'merge_heads')
    })
  }

  /** Takes the channels of heads apart: x [..., heads * sum of dims] -> one value [..., heads * dim] for each dim. */
  splitHeads(x: Value, heads: number, dims: readonly number[], name: string): Value[] {
    return this.graph.scope(name, () => {
      const outer = x.shape.slice(0, -1)
      const split = reshape(this.graph, x, [...outer, heads, this.#channels(x, name) / heads], 'split_heads')
      return splitAxis(this.graph, split, outer.length + 1, dims, 'split').map((part, i) =>
        reshape(this.graph, part, [...outer, heads * dims[i]!], 'merge_heads'),
      )
    })
  }

  /**
   * A mixture of experts' router: x [..., in] -> scores [..., numExperts]. Never quantized, nor stored so, since a
   * rounded score can choose another expert.
   */
  router(x: Value, name: string, numExperts: number, options: { readonly bias: boolean }): Value {
    const scores = linear(this.graph, { ...this.#target, quant: 'none', stored: undefined }, x, name, numExperts)
    if (!options.bias) return scores
    return add(this.graph, scores, this.vector(`${name}.bias`, numExperts), `${name}.add_bias`)
  }

  /** Chooses the experts of each token by a router's scores [..., experts]. */
  route(scores: Value, options: RoutingOptions, name: string): Routing | ChosenExperts | ExpertShares {
    if (this.#target.form === 'training') return chooseExperts(this.graph, scores, options, name)
    const choose = lowerExperts(this.#target) === 'Wide' ? expertShares : route
    return choose(this.graph, scores, options, name)
  }

  /**
   * Divides x [..., n] by its root mean square and multiplies it by `name`.weight [n] + `offset` (Zhang and Sennrich,
   * "Root Mean Square Layer Normalization").
   */
  rmsNorm(x: Value, name: string, eps: number, offset = 0): Value {
    return rmsNorm(this.graph, x, this.#weight(name, this.#channels(x, name), offset), eps, name)
  }

  /** `rmsNorm` of each head by itself: x [..., heads * headDim], `name`.weight [headDim]. */
  headRmsNorm(x: Value, name: string, headDim: number, eps: number, offset = 0): Value {
    return this.#perHead(x, name, headDim, (heads) => this.rmsNorm(heads, name, eps, offset))
  }

  /**
   * Shifts and scales x [..., n] to mean 0 and variance 1, multiplies it by `name`.weight [n] + `offset` and adds
   * `name`.bias [n], if `bias` (Ba et al., "Layer Normalization").
   */
  layerNorm(
    x: Value,
    name: string,
    eps: number,
    { bias = true, offset = 0 }: { readonly bias?: boolean; readonly offset?: number } = {},
  ): Value {
    const size = this.#channels(x, name)
    const weight = this.#weight(name, size, offset)
    return layerNorm(this.graph, x, { weight, bias: bias ? this.vector(`${name}.bias`, size) : undefined }, eps, name)
  }

  /** Shifts and scales x [..., n] to mean 0 and variance 1: `layerNorm` without parameters. */
  standardise(x: Value, eps: number, name: string): Value {
    const size = this.#channels(x, name)
    const ones = convert(fromFloat32(new Float32Array(size).fill(1), [size]), this.dtype)
    return layerNorm(this.graph, x, { weight: this.graph.constant(`${name}.ones`, ones) }, eps, name)
  }

  /** `layerNorm` of each head by itself, with one weight and bias for all: x [..., heads * headDim]. */
  headLayerNorm(x: Value, name: string, headDim: number, eps: number): Value {
    return this.#perHead(x, name, headDim, (heads) => this.layerNorm(heads, name, eps))
  }

  /**
   * `standardise` of each head by itself, multiplied by the head's own weights: x [..., heads * headDim]. They are
   * stored together as `stored` [heads, headDim], or, if it is a list of names, [headDim] for each head.
   */
  ownHeadNorms(x: Value, name: string, headDim: number, eps: number, stored: string | readonly string[]): Value {
    const shape = [this.#channels(x, name) / headDim, headDim]
    const weights = typeof stored === 'string' ? this.#inline(stored, shape) : this.#stacked(stored, shape, name)
    return this.#perHead(x, name, headDim, (heads) =>
      mul(this.graph, this.standardise(heads, eps, name), weights, `${name}.weighted`),
    )
  }

  /** x [..., n] + `name`.bias [n]. */
  addBias(x: Value, name: string): Value {
    return add(this.graph, x, this.vector(`${name}.bias`, this.#channels(x, name)), `${name}.add_bias`)
  }

  /**
   * A mixture of experts: each token's output is the weighted sum of its best experts' outputs. x [rows, tokens,
   * hidden] -> [rows, tokens, hidden].
   */
  experts(x: Value, routing: Routing | ChosenExperts | ExpertShares, name: string, options: ExpertsOptions): Value {
    if ('shares' in routing) return wideMixture(this.graph, this.#target, x, routing, options, name)
    if ('indices' in routing) {
      const weights = singleExpertWeights(this.graph, this.#target, name, options)
      return chosenMixture(this.graph, x, routing, weights, options.gate, name)
    }
    const { gateUp, down, slices, quant } = expertWeights(this.graph, this.#target, name, options)
    return mixtureOfExperts(this.graph, { x, routing, gateUp, down }, { gate: options.gate, slices, quant }, name)
  }

  /** Applies an activation function, one of `ACTIVATION_NAMES`. Throws `GRAPH_UNSUPPORTED` for other names. */
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

  sigmoid(x: Value, name: string): Value {
    return sigmoid(this.graph, x, name)
  }

  /** Each element, but no smaller than -limit and no larger than limit. */
  clamp(x: Value, limit: number, name: string): Value {
    return clamp(this.graph, x, limit, name)
  }

  /** Multiplies each element by a constant. */
  scale(x: Value, factor: number, name: string): Value {
    return scale(this.graph, x, factor, name)
  }

  /** Multiplies x by a constant tensor of this shape, broadcast. */
  scaleEach(x: Value, factors: Float32Array, shape: readonly number[], name: string): Value {
    return mul(
      this.graph,
      x,
      this.graph.constant(`${name}.factors`, convert(fromFloat32(factors, shape), x.dtype)),
      name,
    )
  }

  /** Rounds each element to what another float type can hold; the result keeps x's dtype. */
  roundTo(x: Value, dtype: FloatDType, name: string): Value {
    if (this.#target.device === 'webgpu' && dtype === 'bfloat16') return roundToBfloat16(this.graph, x, name)
    return cast(this.graph, cast(this.graph, x, dtype, `${name}.to`), x.dtype, name)
  }

  /** cap * tanh(x / cap). */
  softcap(x: Value, cap: number, name: string): Value {
    return softcap(this.graph, x, cap, name)
  }

  /** Cuts x [..., sum of sizes] along its last axis into one value for each size. */
  split(x: Value, sizes: readonly number[], name: string): Value[] {
    return splitAxis(this.graph, x, x.shape.length - 1, sizes, name)
  }

  /**
   * Takes a fused projection x [..., groups * sum(counts) * headDim] apart. Within each group, `counts[0]` heads of the
   * first kind are followed by `counts[1]` of the second, and so on. Returns one value [..., groups * count * headDim]
   * for each count.
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

  /** The weight of a norm, [size], plus `offset`. */
  #weight(name: string, size: number, offset: number): Value {
    const weight = this.vector(`${name}.weight`, size)
    if (offset === 0) return weight
    return add(this.graph, weight, this.#number(offset, `${name}.offset`), `${name}.add_offset`)
  }

  /** Applies `change` to x [..., heads * headDim] as [..., heads, headDim]. */
  #perHead(x: Value, name: string, headDim: number, change: (heads: Value) => Value): Value {
    const shape = [...x.shape.slice(0, -1), this.#channels(x, name) / headDim, headDim]
    const heads = reshape(this.graph, x, shape, `${name}.split_heads`)
    return reshape(this.graph, change(heads), x.shape, `${name}.merge_heads`)
  }

  /** Vectors, one under each of `names`, as the rows of a matrix. */
  #stacked(names: readonly string[], shape: readonly number[], name: string): Value {
    const vectors = names.map((own) => this.vector(own, shape[1]!))
    return reshape(this.graph, concatLast(this.graph, vectors, `${name}.joined`), shape, `${name}.stacked`)
  }

  /** The vector `name` [size] as a value. */
  vector(name: string, size: number): Value {
    return this.#inline(name, [size])
  }

  #inline(name: string, shape: readonly number[]): Value {
    return this.graph.parameter({
      name,
      dtype: this.dtype,
      shape,
      placement: 'inline',
      prepacked: false,
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
