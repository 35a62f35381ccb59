import type { Graph } from '../../graph/builder.ts'
import type { Shape, Value } from '../../graph/value.ts'
import { dtypeSize } from '../../tensor/dtype.ts'

/**
 * The most bytes of intermediate results that a run of the graph holds at once: what a node yields counts until the
 * last node that takes it has run. Inputs, parameters and the graph's own outputs lie in memory of others. `sizes` are
 * those of the axes that only have names.
 */
export function intermediateBytes(graph: Graph, sizes: Readonly<Record<string, number>>): number {
  const lastUse = new Map<Value, number>()
  graph.nodes.forEach(({ inputs }, at) => {
    for (const input of inputs) if (input !== undefined) lastUse.set(input, at)
  })
  const outputs = new Set(graph.outputs.map(({ value }) => value))
  const held = new Map<Value, number>()
  let bytes = 0
  let most = 0
  graph.nodes.forEach((node, at) => {
    for (const value of node.outputs) {
      if (outputs.has(value)) continue
      held.set(value, valueBytes(value, sizes))
      bytes += held.get(value)!
    }
    most = Math.max(most, bytes)
    for (const value of new Set([...node.inputs, ...node.outputs])) {
      if (value === undefined || (lastUse.get(value) ?? -1) > at) continue
      bytes -= held.get(value) ?? 0
      held.delete(value)
    }
  })
  return most
}

function valueBytes({ dtype, shape }: Value, sizes: Readonly<Record<string, number>>): number {
  return elements(shape, sizes) * dtypeSize(dtype)
}

function elements(shape: Shape, sizes: Readonly<Record<string, number>>): number {
  return shape.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : (sizes[dim] ?? 1)), 1)
}
