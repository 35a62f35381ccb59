import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { wantDType, wantShape } from './ops.ts'
import { describe, int, string, type Value } from './value.ts'

/**
 * data plus `updates` at `indices` (int64 of the updates' shape, each a place along `axis`); several updates of one
 * place are added up. Axes beside `axis` are not longer than data's. Throws `GRAPH_SHAPE` or `GRAPH_DTYPE`.
 */
export function scatterAdd(g: Graph, data: Value, indices: Value, updates: Value, axis: number, name: string): Value {
  const op = 'ScatterElements'
  wantDType(g, op, name, indices, 'int64')
  wantDType(g, op, name, updates, data.dtype)
  wantShape(g, op, name, indices, updates.shape)
  if (data.shape.length !== updates.shape.length || axis < 0 || axis >= data.shape.length) {
    const problem = `${op} cannot add ${describe(updates)} to ${describe(data)} along axis ${axis}`
    throw new GraphError('GRAPH_SHAPE', `node ${g.nodeName(name)}`, problem)
  }
  const attributes = { axis: int(axis), reduction: string('add') }
  return g.node({ op, name, inputs: [data, indices, updates], outputs: [data], attributes })[0]!
}
