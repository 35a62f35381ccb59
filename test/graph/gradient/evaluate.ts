import type { FinishedGraph } from '../../../src/graph/encode.ts'
import type { Value } from '../../../src/graph/value.ts'
import { KERNELS } from './kernels.ts'
import { type Doubles, fromTensor } from './doubles.ts'

/**
 * Computes a graph's values in float64, whatever dtypes it names: a second opinion on the runtime's kernels, and exact
 * enough for finite differences. `given` are its inputs and parameters by name.
 */
export function evaluate(graph: Pick<FinishedGraph, 'nodes' | 'constants'>, given: ReadonlyMap<string, Doubles>) {
  const values = new Map<string, Doubles>(given)
  for (const { value, tensor } of graph.constants) values.set(value.name, fromTensor(tensor))
  for (const node of graph.nodes) {
    const kernel = KERNELS[`${node.domain}/${node.op}`]
    if (kernel === undefined) throw new Error(`no kernel for ${node.domain}/${node.op}`)
    const inputs = node.inputs.map((input) => (input === undefined ? undefined : values.get(input.name)!))
    kernel(inputs, node).forEach((result, i) => {
      const output = node.outputs[i]
      if (output !== undefined) values.set(output.name, checked(node.name, output, result))
    })
  }
  return (value: Value): Doubles => values.get(value.name)!
}

/** A result whose shape is what the graph says. */
function checked(node: string, { shape }: Value, result: Doubles): Doubles {
  const fits =
    shape.length === result.shape.length && shape.every((dim, i) => typeof dim === 'string' || dim === result.shape[i])
  if (!fits) throw new Error(`node ${node} yields [${result.shape.join()}], not [${shape.join()}]`)
  return result
}
