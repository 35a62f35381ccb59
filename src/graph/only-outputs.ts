import type { FinishedGraph } from './encode.ts'
import type { Value } from './value.ts'

/** A graph that yields some of the outputs only, without the nodes and the parameters that these do not need. */
export function onlyOutputs(graph: FinishedGraph, names: readonly string[]): FinishedGraph {
  const outputs = graph.outputs.filter(({ name }) => names.includes(name))
  const needed = new Set<Value>(outputs.map(({ value }) => value))
  // A node comes after those that its inputs are made by.
  const nodes = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((output) => needed.has(output))) return false
    for (const input of node.inputs) if (input !== undefined) needed.add(input)
    return true
  })
  const used = new Set([...needed].map(({ name }) => name))
  return {
    name: graph.name,
    inputs: graph.inputs,
    constants: graph.constants.filter(({ value }) => used.has(value.name)),
    parameters: graph.parameters.filter(({ name }) => used.has(name)),
    nodes: nodes.toReversed(),
    outputs,
  }
}
