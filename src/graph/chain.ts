import type { FinishedGraph } from './encode.ts'
import { GraphError } from './errors.ts'
import type { GraphOutput, Value } from './value.ts'

/** How copies of a graph are linked into a chain. */
export interface Links {
  /** The input of each copy that takes the previous copy's `output`. */
  readonly input: string
  readonly output: string
  /** Inputs of which each copy gets one of its own. All other inputs are shared by the copies. */
  readonly own: readonly string[]
}

/** The name that a value of copy `index` has in the chain: an own input, an output, a parameter or a node's result. */
export function nameInCopy(index: number, name: string): string {
  return `${index}.${name}`
}

/**
 * Joins graphs into one: the linked output of each becomes the linked input of the next. Parameters, own inputs and
 * unlinked outputs are renamed by `nameInCopy`. Throws `GRAPH_VALUE` if a linked input or output does not exist.
 */
export function chain(graphs: readonly FinishedGraph[], { input, output, own }: Links): FinishedGraph {
  for (const name of own)
    find(
      graphs.flatMap(({ inputs }) => inputs),
      name,
    )
  const shared = new Map<string, Value>()
  for (const value of graphs.flatMap((graph) => graph.inputs)) {
    if (value.name !== input && !own.includes(value.name) && !shared.has(value.name)) shared.set(value.name, value)
  }
  const inputs: Value[] = [...shared.values()]
  const outputs: GraphOutput[] = []
  const copies = []
  let linked: Value = find(graphs[0]?.inputs ?? [], input)
  inputs.unshift(linked)
  for (const [index, graph] of graphs.entries()) {
    const values = new Map<Value, Value>(
      graph.inputs.filter(({ name }) => shared.has(name)).map((value) => [value, shared.get(value.name)!]),
    )
    values.set(find(graph.inputs, input), linked)
    const copy = (value: Value): Value => {
      const known = values.get(value)
      if (known !== undefined) return known
      const made = { ...value, name: nameInCopy(index, value.name) }
      values.set(value, made)
      return made
    }
    for (const value of graph.inputs) if (own.includes(value.name)) inputs.push(copy(value))
    copies.push({
      nodes: graph.nodes.map((node) => ({
        ...node,
        name: nameInCopy(index, node.name),
        outputs: node.outputs.map(copy),
        inputs: node.inputs.map((value) => (value === undefined ? undefined : copy(value))),
      })),
      parameters: graph.parameters.map((parameter) => ({ ...parameter, name: nameInCopy(index, parameter.name) })),
      constants: graph.constants.map(({ value, tensor }) => ({ value: copy(value), tensor })),
    })
    for (const { name, value } of graph.outputs)
      if (name !== output) outputs.push({ name: nameInCopy(index, name), value: copy(value) })
    linked = copy(find(graph.outputs, output).value)
  }
  outputs.unshift({ name: output, value: linked })
  return {
    name: `${graphs[0]!.name} x ${graphs.length}`,
    inputs,
    outputs,
    parameters: copies.flatMap(({ parameters }) => parameters),
    constants: copies.flatMap(({ constants }) => constants),
    nodes: copies.flatMap(({ nodes }) => nodes),
  }
}

function find<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  const found = list.find((one) => one.name === name)
  if (found === undefined)
    throw new GraphError(
      'GRAPH_VALUE',
      `value ${name}`,
      'is neither an input nor an output of the graph that is to be chained',
    )
  return found
}
