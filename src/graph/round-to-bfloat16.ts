import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { scale, sub } from './ops.ts'
import type { Value } from './value.ts'

/** 2^16 + 1: float32 has 24 significant bits, bfloat16 has 8. */
const SPLITTER = 65_537

/**
 * Rounds each element of a float32 to what bfloat16 can hold, without that type (Dekker, "A floating-point technique
 * for extending the available precision", after Veltkamp): for devices that cannot convert to it. Numbers below 1e33.
 */
export function roundToBfloat16(g: Graph, x: Value, name: string): Value {
  if (x.dtype !== 'float32') throw new GraphError('GRAPH_DTYPE', `node ${g.nodeName(name)}`, 'only float32 is rounded')
  return g.scope(name, () => {
    const large = scale(g, x, SPLITTER, 'large')
    return sub(g, large, sub(g, large, x, 'low'), 'high')
  })
}
