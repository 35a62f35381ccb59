import { convert } from '../../tensor/convert.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'
import type { Graph } from '../builder.ts'
import { GraphError } from '../errors.ts'
import type { Node, Value } from '../value.ts'
import type { Sizes } from './sizes.ts'

/**
 * How gradients pass through an operator: one row of the table. It yields the gradient with respect to each input of
 * the node that `at.wants`, in the input's shape or in one that broadcasting made of it: the walker sums over
 * broadcast axes. An axis of a gradient may have size 1 where all elements along it are equal.
 */
export interface Rule {
  /**
   * Whether all inputs are broadcast to the one result's shape, and each element depends only on those at its place.
   * Other rules are given gradients in the result's full shape.
   */
  readonly elementwise: boolean
  readonly gradients: (at: NodeGradient) => readonly (Value | undefined)[]
}

/** What a rule is told: a node, and the gradients with respect to its results. */
export interface NodeGradient {
  readonly g: Graph
  readonly node: Node
  readonly sizes: Sizes
  /** The gradient with respect to each result; undefined where nothing depends on it. */
  readonly results: readonly (Value | undefined)[]
  /** Whether the gradient with respect to this input is wanted. */
  wants(input: number): boolean
}

/** Rules by `domain/op`; the domain of ONNX itself is empty. */
export type Rules = Readonly<Record<string, Rule>>

/** A row for an operator that computes each element from those at its place. */
export function elementwise(gradients: Rule['gradients']): Rule {
  return { elementwise: true, gradients }
}

/** A row for any other operator. */
export function whole(gradients: Rule['gradients']): Rule {
  return { elementwise: false, gradients }
}

/** The gradient with respect to the node's first result. */
export function gradientOf({ results }: NodeGradient): Value {
  return results[0]!
}

/** Input `index` of the node, which the operator always has. */
export function inputOf({ node }: NodeGradient, index = 0): Value {
  return node.inputs[index]!
}

/** A scalar constant of a value's dtype. */
export function number({ g }: Pick<NodeGradient, 'g'>, value: number, like: Value): Value {
  return g.constant('number', convert(fromFloat32(Float32Array.of(value), []), like.dtype))
}

/** An attribute that is a whole number, or what the operator takes where it is absent. */
export function intAttribute({ attributes }: Node, name: string, otherwise: number): number {
  const attribute = attributes[name]
  return attribute?.type === 'int' ? attribute.value : otherwise
}

/** An attribute that is a number, or what the operator takes where it is absent. */
export function floatAttribute({ attributes }: Node, name: string, otherwise: number): number {
  const attribute = attributes[name]
  return attribute?.type === 'float' ? attribute.value : otherwise
}

/** An attribute that is a text, or what the operator takes where it is absent. */
export function stringAttribute({ attributes }: Node, name: string, otherwise: string): string {
  const attribute = attributes[name]
  return attribute?.type === 'string' ? attribute.value : otherwise
}

/** An axis counted from the front. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

/** The whole numbers of a constant; undefined if the value is computed at run time, or there is none. */
export function constantInts(g: Graph, value: Value | undefined): number[] | undefined {
  const constant = g.constants.find((one) => one.value === value)
  if (constant === undefined || constant.tensor.dtype !== 'int64') return undefined
  const { data } = constant.tensor
  return Array.from(new BigInt64Array(data.slice().buffer), Number)
}

/** The error for a use of an operator that its row does not cover. */
export function uncovered({ node }: Pick<NodeGradient, 'node'>, problem: string): GraphError {
  return new GraphError('GRAPH_UNSUPPORTED', `gradient of node ${node.name}`, `${node.op} ${problem}`)
}
