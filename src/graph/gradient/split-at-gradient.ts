import type { Graph } from '../builder.ts'
import type { FinishedGraph } from '../encode.ts'
import { GraphError } from '../errors.ts'
import { type GraphOutput, int, type Node, type Value } from '../value.ts'
import { chooseSaved, inputsOf, nodesFor } from './choose-saved.ts'

/** What the two halves of a graph with gradients yield. */
export interface GradientCut {
  /** By the names that they have as outputs of `forward`: results of nodes. */
  readonly forwardOutputs: ReadonlyMap<string, Value>
  /** The input of the graph that gradients are computed from. */
  readonly given: Value
  /** By the names that they have as outputs of `backward`. */
  readonly gradients: ReadonlyMap<string, Value>
}

/** A graph with gradients as two that are run one after another. */
export interface GradientHalves {
  /** Yields `forwardOutputs` and, by their names, the `saved` values. */
  readonly forward: FinishedGraph
  /** Takes `given`, the `saved` values and whatever inputs it needs; yields `gradients`. */
  readonly backward: FinishedGraph
  readonly saved: readonly Value[]
  /** Takes `given` and whatever inputs it needs; yields `gradients`. Nothing is saved or computed twice. */
  readonly both: FinishedGraph
}

/**
 * Cuts a graph to which `addGradients` has added gradients in two. What both halves need is either saved by `forward`
 * or computed again by `backward`. `chooseSaved` has the rule. Where one follows upon the other, `both` does it all.
 *
 * Nodes that a half does not need are not in it. Throws `GRAPH_VALUE` for an output that is no node's result, and
 * `GRAPH_NAME` for a gradient's name that another value has.
 */
export function splitAtGradient(g: Graph, { forwardOutputs, given, gradients }: GradientCut): GradientHalves {
  const early = g.inputs.filter((input) => input !== given)
  const all = g.nodes.map((node) => shapeOfInput(node, early))
  const producers = new Map<Value, Node>()
  for (const node of all) for (const output of node.outputs) producers.set(output, node)
  const late = new Set<Value>([given])
  for (const { inputs, outputs } of all)
    if (inputs.some((input) => input !== undefined && late.has(input))) for (const output of outputs) late.add(output)

  for (const [name, value] of forwardOutputs)
    if (!producers.has(value))
      throw new GraphError('GRAPH_VALUE', `output ${name}`, `${value.name} is no node's result`)
  const [wanted, yielded] = [[...gradients.values()], [...forwardOutputs.values()]]
  const kept = chooseSaved({ producers, late, wanted, yielded, inputs: early })
  const outputs = [...forwardOutputs].map(([name, value]) => ({ name, value }))
  const isOutput = new Map(outputs.map(({ name, value }) => [value, name]))
  const saved = new Map(kept.map((value) => [value, { ...value, name: isOutput.get(value) ?? value.name }]))
  const only = kept.filter((value) => !isOutput.has(value)).map((value) => ({ name: value.name, value }))
  const forwardNodes = nodesFor(producers, [...yielded, ...kept])
  const backwardNodes = nodesFor(producers, wanted, new Set(kept)).map((node) => ({
    ...node,
    inputs: node.inputs.map((input) => (input === undefined ? undefined : (saved.get(input) ?? input))),
  }))
  const named = nameGradients(g, gradients, new Set(backwardNodes.flatMap((node) => node.outputs)))
  const bothNodes = nodesFor(producers, wanted)
  const ofBoth = nameGradients(g, gradients, new Set(bothNodes.flatMap((node) => node.outputs)))
  return {
    forward: half(g, 'forward', forwardNodes, [...outputs, ...only], []),
    backward: half(g, 'backward', [...backwardNodes, ...named.copies], named.outputs, [...saved.values()]),
    saved: [...saved.values()],
    both: half(g, 'both', [...bothNodes, ...ofBoth.copies], ofBoth.outputs, []),
  }
}

/**
 * A node that reads sizes of a computed value reads them of an input that has the same ones, if there is one: then the
 * value need not be there.
 */
function shapeOfInput(node: Node, inputs: readonly Value[]): Node {
  const [of] = node.inputs
  if (node.op !== 'Shape' || of === undefined || inputs.includes(of)) return node
  const { start, end } = node.attributes
  const rank = of.shape.length
  const [first, last] = [start?.type === 'int' ? start.value : 0, end?.type === 'int' ? end.value : rank]
  const dims = of.shape.slice(first, last)
  for (const input of inputs) {
    const at = input.shape.findIndex((_, axis) => dims.every((dim, i) => input.shape[axis + i] === dim))
    if (at !== -1) return { ...node, inputs: [input], attributes: { start: int(at), end: int(at + dims.length) } }
  }
  return node
}

/** Outputs by name. A value that has no node here, or a name already, is copied. */
function nameGradients(
  g: Graph,
  gradients: ReadonlyMap<string, Value>,
  free: Set<Value>,
): { readonly outputs: readonly GraphOutput[]; readonly copies: readonly Node[] } {
  const taken = new Map(
    [...g.inputs, ...g.constants.map(({ value }) => value), ...g.nodes.flatMap((node) => node.outputs)].map(
      (value) => [value.name, value] as const,
    ),
  )
  const copies: Node[] = []
  const outputs = [...gradients].map(([name, value]) => {
    const other = taken.get(name)
    if (other !== undefined && other !== value)
      throw new GraphError('GRAPH_NAME', `graph ${g.name}`, `a gradient cannot be named ${name}: another value is`)
    if (free.delete(value)) return { name, value }
    const copy = { ...value, name }
    copies.push({ name, op: 'Identity', domain: '', inputs: [value], outputs: [copy], attributes: {} })
    return { name, value: copy }
  })
  return { outputs, copies }
}

/** The graph of some nodes, with the inputs, parameters and constants that they take. */
function half(
  g: Graph,
  name: string,
  nodes: readonly Node[],
  outputs: readonly GraphOutput[],
  saved: readonly Value[],
): FinishedGraph {
  const used = new Set(nodes.flatMap(inputsOf))
  const names = new Set([...used].map((value) => value.name))
  return {
    name: `${g.name} ${name}`,
    nodes,
    outputs,
    inputs: [...g.inputs.filter((input) => used.has(input)), ...saved],
    parameters: g.parameters.filter((parameter) => names.has(parameter.name)),
    constants: g.constants.filter(({ value }) => used.has(value)),
  }
}
