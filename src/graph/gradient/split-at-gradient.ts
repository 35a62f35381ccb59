import type { Graph } from '../builder.ts'
import type { FinishedGraph } from '../encode.ts'
import { GraphError } from '../errors.ts'
import type { GraphOutput, Node, Value } from '../value.ts'
import { minCut } from './min-cut.ts'
import { savedBytes, sizeNames } from './saved-bytes.ts'

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
}

/** Operators whose results are not computed a second time. */
const COSTLY: ReadonlySet<string> = new Set(['/MatMul', 'com.microsoft/FusedMatMul', '/TopK'])

/** The size of axes of which only the name is known, when values are compared by their bytes. */
const TYPICAL_SIZE = 256

/**
 * Cuts a graph to which `addGradients` has added gradients in two. What both halves need is either saved by `forward` or
 * computed again by `backward`. The rule: of all sets of values from which `backward` can compute the rest without
 * repeating a costly node (a product of matrices, a choice of the largest), the one of fewest bytes is saved; the
 * graph's inputs, parameters and constants cost nothing. So results of linear layers, or what is made of them, are saved;
 * norms, activations, rotations and masks are computed again. A value with one symbolic size on two axes, like
 * attention's scores [rows, heads, tokens, tokens], is never saved, since such values would soon outgrow all others:
 * the product that makes it is repeated; nor one of a size that no input has, since nobody could tell how much it takes (Dao et al., "FlashAttention"; the choice by a minimal cut: Chen et al.,
 * "Training Deep Nets with Sublinear Memory Cost", is its simplest form).
 *
 * Nodes that a half does not need are not in it. Throws `GRAPH_VALUE` for an output that is no node's result, and
 * `GRAPH_NAME` for a gradient's name that another value has.
 */
export function splitAtGradient(g: Graph, { forwardOutputs, given, gradients }: GradientCut): GradientHalves {
  const producers = new Map<Value, Node>()
  for (const node of g.nodes) for (const output of node.outputs) producers.set(output, node)
  const late = new Set<Value>([given])
  for (const { inputs, outputs } of g.nodes)
    if (inputs.some((input) => input !== undefined && late.has(input))) for (const output of outputs) late.add(output)

  for (const [name, value] of forwardOutputs)
    if (!producers.has(value))
      throw new GraphError('GRAPH_VALUE', `output ${name}`, `${value.name} is no node's result`)
  const names = new Set(g.inputs.flatMap(({ shape }) => sizeNames(shape)))
  const kept = valuesToSave(producers, late, [...gradients.values()], names)
  const outputs = [...forwardOutputs].map(([name, value]) => ({ name, value }))
  const isOutput = new Map(outputs.map(({ name, value }) => [value, name]))
  const saved = new Map(kept.map((value) => [value, { ...value, name: isOutput.get(value) ?? value.name }]))
  const only = kept.filter((value) => !isOutput.has(value)).map((value) => ({ name: value.name, value }))
  const forwardNodes = nodesFor(producers, [...forwardOutputs.values(), ...kept], new Set())
  const backwardNodes = nodesFor(producers, [...gradients.values()], new Set(kept)).map((node) => ({
    ...node,
    inputs: node.inputs.map((input) => (input === undefined ? undefined : (saved.get(input) ?? input))),
  }))
  const named = nameGradients(g, gradients, new Set(backwardNodes.flatMap((node) => node.outputs)))
  return {
    forward: half(g, 'forward', forwardNodes, [...outputs, ...only], []),
    backward: half(g, 'backward', [...backwardNodes, ...named.copies], named.outputs, [...saved.values()]),
    saved: [...saved.values()],
  }
}

/** The values that are to be saved: a minimal cut between results of costly nodes and what late nodes need. */
function valuesToSave(
  producers: ReadonlyMap<Value, Node>,
  late: ReadonlySet<Value>,
  gradients: readonly Value[],
  names: ReadonlySet<string>,
): Value[] {
  const isEarly = (value: Value) => producers.has(value) && !late.has(value)
  const lateNodes = nodesFor(producers, gradients, new Set()).filter(({ outputs }) => late.has(outputs[0]!))
  const demands = new Set([...lateNodes.flatMap(inputsOf), ...gradients].filter(isEarly))
  const early = nodesFor(producers, [...demands], new Set())
  const values = early.flatMap(({ outputs }) => outputs)
  const places = new Map(values.map((value, place) => [value, place]))
  const arcs: [number, number][] = []
  const sources: number[] = []
  for (const node of early) {
    const isCostly = COSTLY.has(`${node.domain}/${node.op}`) && !node.outputs.some(isQuadratic)
    for (const output of node.outputs) {
      const to = places.get(output)!
      if (isCostly) sources.push(to)
      else for (const input of inputsOf(node).filter(isEarly)) arcs.push([places.get(input)!, to])
    }
  }
  const isSavable = (value: Value) => !isQuadratic(value) && sizeNames(value.shape).every((name) => names.has(name))
  const costs = values.map((value) => (isSavable(value) ? savedBytes([value], typicalSizes(value)) : Infinity))
  const cut = minCut({ costs, arcs, sources, sinks: [...demands].map((value) => places.get(value)!) })
  // Never empty-handed: a costly node's results can be saved, or it may be repeated.
  return cut!.map((place) => values[place]!)
}

/** Whether a value grows faster than a size that is known only when the graph runs. */
function isQuadratic({ shape }: Value): boolean {
  const names = sizeNames(shape)
  return new Set(names).size !== names.length
}

function typicalSizes({ shape }: Value): Record<string, number> {
  return Object.fromEntries(sizeNames(shape).map((name) => [name, TYPICAL_SIZE]))
}

/** The nodes that compute `wanted` from `known`, inputs and weights, each as late as it can be. */
function nodesFor(producers: ReadonlyMap<Value, Node>, wanted: readonly Value[], known: ReadonlySet<Value>): Node[] {
  const nodes = new Set<Node>()
  const visit = (value: Value): void => {
    const node = known.has(value) ? undefined : producers.get(value)
    if (node === undefined || nodes.has(node)) return
    inputsOf(node).forEach(visit)
    nodes.add(node)
  }
  wanted.forEach(visit)
  return [...nodes]
}

function inputsOf({ inputs }: Node): Value[] {
  return inputs.filter((input) => input !== undefined)
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
