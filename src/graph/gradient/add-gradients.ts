import type { Graph } from '../builder.ts'
import { GraphError } from '../errors.ts'
import { add, isFloat } from '../ops.ts'
import { describe, type Node, type Value } from '../value.ts'
import { reduceTo } from './reduce-to.ts'
import { RULES } from './rules/index.ts'
import type { NodeGradient } from './rule.ts'
import { Sizes } from './sizes.ts'

/** Whose gradient with respect to what. */
export interface GradientRequest {
  /** A value of the graph. */
  readonly of: Value
  /** The gradient of the loss with respect to `of`, of its dtype and shape: mostly an input of the graph. */
  readonly given: Value
  /** Any float values of the graph: inputs, parameters, results of nodes. */
  readonly wrt: readonly Value[]
}

/**
 * Adds the nodes that compute the gradient of the loss with respect to each value of `wrt` by reverse-mode automatic
 * differentiation: a walk over the node list from its end, one row of the table for each operator (Griewank and
 * Walther, "Evaluating Derivatives", chapter 3). Only nodes on a way from `wrt` to `of` are walked. Values that `of`
 * does not depend on are not in the result: their gradient is zero. Throws `GRAPH_UNSUPPORTED`, naming the operator,
 * for a node on the way that has no row, and `GRAPH_VALUE` for a gradient that does not fit `of`.
 */
export function addGradients(g: Graph, { of, given, wrt }: GradientRequest): Map<Value, Value> {
  if (describe(of) !== describe(given)) {
    const problem = `the gradient of ${of.name}, which is ${describe(of)}, cannot be ${describe(given)}`
    throw new GraphError('GRAPH_VALUE', `graph ${g.name}`, problem)
  }
  const dependents = dependentsOf(g.nodes, wrt)
  const sizes = new Sizes(g, given)
  const gradients = new Map<Value, Value>()
  if (dependents.has(of)) gradients.set(of, given)
  for (const node of g.nodes.toReversed()) {
    const isWanted = node.inputs.map((input) => input !== undefined && dependents.has(input))
    if (!isWanted.includes(true) || !node.outputs.some((output) => gradients.has(output))) continue
    g.scope(`gradient.${node.name}`, () => passThrough(g, sizes, node, isWanted, gradients))
  }
  const found = wrt.flatMap((value): [Value, Value][] => {
    const gradient = gradients.get(value)
    return gradient === undefined ? [] : [[value, sizes.expand(gradient, value.shape, `gradient.${value.name}`)]]
  })
  return new Map(found)
}

/** Adds the gradients with respect to a node's inputs to those that are known from later nodes. */
function passThrough(
  g: Graph,
  sizes: Sizes,
  node: Node,
  isWanted: readonly boolean[],
  gradients: Map<Value, Value>,
): void {
  const rule = RULES.get(`${node.domain}/${node.op}`)
  if (rule === undefined) throw unsupported(node, 'the operator has no gradient')
  const results = node.outputs.map((output) => {
    const gradient = gradients.get(output)
    return gradient === undefined || rule.elementwise ? gradient : sizes.expand(gradient, output.shape, 'expanded')
  })
  const at: NodeGradient = { g, node, sizes, results, wants: (input) => isWanted[input] === true }
  const added = rule.gradients(at)
  for (const [i, input] of node.inputs.entries()) {
    if (input === undefined || !at.wants(i)) continue
    const gradient = added[i]
    if (gradient === undefined) throw unsupported(node, `there is no gradient with respect to its input ${i}`)
    const over = rule.elementwise ? node.outputs[0]!.shape : gradient.shape
    const own = reduceTo(g, sizes, gradient, over, input.shape)
    const known = gradients.get(input)
    gradients.set(input, known === undefined ? own : add(g, known, own, 'sum'))
  }
}

/** The floats that depend on any of `wrt`, these included. */
function dependentsOf(nodes: readonly Node[], wrt: readonly Value[]): ReadonlySet<Value> {
  const dependents = new Set(wrt)
  for (const { inputs, outputs } of nodes) {
    if (!inputs.some((input) => input !== undefined && dependents.has(input))) continue
    for (const output of outputs) if (isFloat(output)) dependents.add(output)
  }
  return dependents
}

function unsupported(node: Node, problem: string): GraphError {
  return new GraphError('GRAPH_UNSUPPORTED', `gradient of node ${node.name} (${node.op})`, problem)
}
