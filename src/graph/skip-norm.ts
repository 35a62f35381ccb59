import type { FinishedGraph } from './encode.ts'
import type { Node, Value } from './value.ts'

/** The operators that add and normalise at once, by those that only normalise. */
const FUSED: ReadonlyMap<string, string> = new Map([
  ['SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization'],
  ['LayerNormalization', 'SkipLayerNormalization'],
])

/** The axes that the operators take: [rows, tokens, channels]. */
const AXES = 3

/**
 * The graph with each norm of a sum of two tensors of one shape as one operator, which gives the sum as well: on a GPU
 * a sum and a norm are two kernels that read and write all hidden states. What the graph computes stays the same.
 */
export function fuseSkipNorms(graph: FinishedGraph): FinishedGraph {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)))
  const firstUses = new Map<Value, Node>()
  for (const node of graph.nodes)
    for (const value of node.inputs) if (value !== undefined && !firstUses.has(value)) firstUses.set(value, node)
  /** What takes the place of each norm. */
  const fused = new Map<Node, Node>()
  const gone = new Set<Node>()
  for (const norm of graph.nodes) {
    const op = FUSED.get(norm.op)
    const [sum, ...parameters] = norm.inputs as [Value, ...Value[]]
    const adding = op === undefined ? undefined : makers.get(sum)
    // Whoever else reads the sum comes later, so that nodes stay in an order in which they can run.
    if (adding === undefined || !isPlainSum(adding) || firstUses.get(sum) !== norm) continue
    gone.add(adding)
    const { axis: _, ...attributes } = norm.attributes
    fused.set(norm, {
      name: norm.name,
      op: op!,
      domain: 'com.microsoft',
      inputs: [...adding.inputs, ...parameters],
      outputs: [...norm.outputs, absent(sum), absent(sum), sum],
      attributes,
    })
  }
  const nodes = graph.nodes.filter((node) => !gone.has(node)).map((node) => fused.get(node) ?? node)
  const { name, inputs, outputs, parameters, constants } = graph
  return { name, inputs, outputs, parameters, constants, nodes }
}

function isPlainSum({ op, inputs, outputs: [sum] }: Node): boolean {
  if (op !== 'Add' || sum!.shape.length !== AXES) return false
  return inputs.every((value) => value!.shape.join() === sum!.shape.join())
}

/** An output that nobody wants. */
function absent({ dtype }: Value): Value {
  return { name: '', dtype, shape: [] }
}
