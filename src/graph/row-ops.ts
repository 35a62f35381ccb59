import type { Graph } from './builder.ts'
import { gather, reshape } from './ops.ts'
import { div, filled, indicesOfAxis, scatterElements } from './primitive-ops.ts'
import { scatterAdd } from './scatter-ops.ts'
import { productOf } from './shapes.ts'
import { int, type Dim, type Value } from './value.ts'

/** Places of a table's rows: each row is picked equally often. */
export interface Picks {
  /** int64 [count]: the table's row that each result is. */
  readonly from: Value
  /** int64 [count]: of each row of the table in turn, the results that it is. */
  readonly back: Value
  /** How often each row is picked. */
  readonly times: number
}

/** The rows of tokens in the order of the experts that compute them, each token's row once for each of its experts. */
export interface ExpertOrder {
  /** How many rows each expert has: int64 [experts]. */
  readonly counts: Value
  /** The expert of each row: int64 [count]. */
  readonly experts: Value
  /** From tokens' rows into this order, and from this order to the first token's rows, then the second's, ... */
  readonly fromTokens: Picks
  readonly toTokens: Picks
}

/** Sorts the chosen experts of all tokens, int64 [..., topK]. */
export function expertOrder(g: Graph, chosen: Value, numExperts: number): ExpertOrder {
  return g.scope('order', () => {
    const topK = Number(chosen.shape.at(-1) ?? 1)
    const count = productOf(chosen.shape)
    const like = { dtype: 'int64' as const, shape: [count] }
    const number = (name: string, value: number, shape: readonly number[] = []) =>
      filled(g, name, 'int64', shape, value)
    const flat = reshape(g, chosen, [count], 'choices')
    const [size] = g.node({ op: 'Shape', name: 'count', inputs: [flat], outputs: [{ dtype: 'int64', shape: [1] }] })
    // Of equal experts, those of the first places come first.
    const attributes = { axis: int(0), largest: int(0), sorted: int(1) }
    const [experts, places] = g.node({
      op: 'TopK',
      name: 'sorted',
      inputs: [flat, size],
      outputs: [like, like],
      attributes,
    })
    const [ones] = g.node({ op: 'Expand', name: 'ones', inputs: [number('one', 1, [1]), size], outputs: [like] })
    const counts = scatterAdd(g, number('no_rows', 0, [numExperts]), flat, ones!, 0, 'counts')
    const numbers = indicesOfAxis(g, flat, 0, 'numbers')
    const inverse = scatterElements(g, numbers, places!, numbers, 0, 'inverse')
    const tokens = div(g, places!, number('top_k', topK, [1]), 'tokens')
    return {
      counts,
      experts: experts!,
      fromTokens: { from: tokens, back: inverse, times: topK },
      toTokens: { from: inverse, back: places!, times: 1 },
    }
  })
}

/** What is known of indices by which rows are picked. */
const PICKS = new WeakMap<Value, Picks>()

/**
 * Rows of a table [n, columns] as `picks` says: [count, columns]. That each row is picked equally often is remembered,
 * so that the gradient is gathered, too, and not added up row by row.
 */
export function pick(g: Graph, table: Value, picks: Picks, name: string): Value {
  PICKS.set(picks.from, picks)
  return gather(g, table, picks.from, name)
}

/** The picks that these indices belong to. */
export function picksOf(indices: Value): Picks | undefined {
  return PICKS.get(indices)
}

/**
 * Cuts x [rows, columns] into `pieces` values of as many rows as `sizes`, int64 [pieces], says. The names of these
 * sizes are made of the sizes' own, so pieces of equal sizes fit together.
 */
export function cutRows(g: Graph, x: Value, sizes: Value, pieces: number, name: string): Value[] {
  const outputs = Array.from({ length: pieces }, (_, i) => ({
    dtype: x.dtype,
    shape: x.shape.with(0, `${sizes.name}:${i}`),
  }))
  return g.node({ op: 'Split', name, inputs: [x, sizes], outputs, attributes: { axis: int(0) } })
}

/** Joins pieces [rows of one, columns] to [rows, columns]. */
export function concatRows(g: Graph, pieces: readonly Value[], rows: Dim, name: string): Value {
  const [first] = pieces
  const outputs = [{ dtype: first!.dtype, shape: first!.shape.with(0, rows) }]
  return g.node({ op: 'Concat', name, inputs: pieces, outputs, attributes: { axis: int(0) } })[0]!
}

/** The same elements in the shape of another value. */
export function reshapeLike(g: Graph, x: Value, like: Value, name: string): Value {
  const shape = { dtype: 'int64' as const, shape: [like.shape.length] }
  const [to] = g.node({ op: 'Shape', name: `${name}.shape`, inputs: [like], outputs: [shape] })
  return g.node({ op: 'Reshape', name, inputs: [x, to], outputs: [{ dtype: x.dtype, shape: like.shape }] })[0]!
}

/** Picks from an axis of x by indices int32 or int64 [count]: that axis has `count` elements then. */
export function gatherAxis(g: Graph, x: Value, indices: Value, axis: number, name: string): Value {
  const outputs = [{ dtype: x.dtype, shape: x.shape.with(axis, indices.shape[0] ?? 1) }]
  return g.node({ op: 'Gather', name, inputs: [x, indices], outputs, attributes: { axis: int(axis) } })[0]!
}
