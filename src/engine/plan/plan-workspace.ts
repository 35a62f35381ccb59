import { type AxisSizes, dimSize } from '../../graph/dim-size.ts'
import type { FinishedGraph } from '../../graph/encode.ts'
import type { Shape, Value } from '../../graph/value.ts'
import { dtypeSize } from '../../tensor/dtype.ts'

/**
 * The most bytes of intermediate results that a run of the graph holds at once: what a node yields counts until the
 * last node that takes it has run. Inputs, parameters and the graph's own outputs lie in memory of others. `sizes` are
 * those of the axes that only have names.
 */
export function intermediateBytes(graph: Pick<FinishedGraph, 'nodes' | 'outputs'>, known: AxisSizes): number {
  const sizes = withPieces(graph, known)
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

/** Operators that give the bytes of their input, or only a size. */
const VIEWS: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'Shape'])

/**
 * The bytes of all intermediate results of a run of the graph, as if none went back before the run is over: a device
 * computes behind what is recorded for it, and holds until then what the library has released.
 */
export function allResultBytes(graph: Pick<FinishedGraph, 'nodes' | 'outputs'>, known: AxisSizes): number {
  const sizes = withPieces(graph, known)
  const outputs = new Set(graph.outputs.map(({ value }) => value))
  return graph.nodes
    .filter(({ op }) => !VIEWS.has(op))
    .flatMap((node) => node.outputs)
    .filter((value) => !outputs.has(value))
    .reduce((bytes, value) => bytes + valueBytes(value, sizes), 0)
}

/** The bytes of a value; axes whose size is not known count as 1. */
export function valueBytes({ dtype, shape }: Value, sizes: AxisSizes): number {
  return elements(shape, sizes) * dtypeSize(dtype)
}

function elements(shape: Shape, sizes: AxisSizes): number {
  return shape.reduce<number>((product, dim) => product * (dimSize(dim, sizes) ?? 1), 1)
}

/** With sizes of what values are cut into: as if they were cut evenly, where only a run knows how. */
function withPieces({ nodes }: Pick<FinishedGraph, 'nodes'>, known: AxisSizes): AxisSizes {
  const sizes = { ...known }
  for (const { op, inputs, outputs } of nodes) {
    if (op !== 'Split') continue
    for (const { shape } of outputs)
      for (const [axis, dim] of shape.entries()) {
        if (typeof dim === 'number' || dimSize(dim, sizes) !== undefined) continue
        const whole = dimSize(inputs[0]!.shape[axis]!, sizes)
        if (whole !== undefined) sizes[dim] = Math.ceil(whole / outputs.length)
      }
  }
  return sizes
}
