import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { float8Of, type Target } from './lowering.ts'
import { reshape } from './ops.ts'
import type { RowPiece } from './parameter.ts'
import { matMul, transpose } from './primitive-ops.ts'
import type { Value } from './value.ts'

/** A matrix for each head, all of which are rows of one stored matrix. */
export interface HeadMatrices {
  readonly numHeads: number
  /** The stored matrix `name`.weight [numHeads * rows of a head, columns]. */
  readonly stored: string
  readonly shape: readonly [number, number]
  /** Of the rows that each head has in it, the first that is used, and how many. */
  readonly first: number
  readonly rows: number
  /**
   * Whether a head's channels are multiplied by its rows, or by their transpose: into as many channels as there are
   * rows.
   */
  readonly transposed: boolean
}

/**
 * x [rows, tokens, heads * in], each head's channels times a matrix of its own [in, out]: [rows, tokens, heads * out].
 * Throws `GRAPH_UNSUPPORTED` for a checkpoint that stores the matrix as integers.
 */
export function linearByHeads(
  g: Graph,
  target: Target,
  x: Value,
  name: string,
  { numHeads, stored, shape, first, rows, transposed }: HeadMatrices,
): Value {
  const quant = float8Of(target)
  if (target.stored !== undefined && quant === undefined)
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `layer ${stored} of a quantized checkpoint`,
      'each head takes a part of it: name the checkpoint that it was quantized from, with --quant',
    )
  const [storedRows, columns] = shape
  const [inner, out] = transposed ? [columns, rows] : [rows, columns]
  const each = storedRows / numHeads
  const pieces = Array.from({ length: numHeads }, (_, head): RowPiece => {
    const at = { firstRow: head * inner, rowStep: 1, rows: inner }
    return transposed ? { ...at, row: 0, column: head * each + first } : { ...at, row: head * each + first, column: 0 }
  })
  return g.scope(name, () => {
    const weight = g.parameter({
      name: `${name}.weight`,
      dtype: target.dtype,
      shape: [numHeads, inner, out],
      placement: 'external',
      prepacked: false,
      source: { kind: 'assembled', parts: [{ name: `${stored}.weight`, shape, transposed, pieces }], quant },
    })
    const [batch = 1, tokens = 1] = x.shape
    const heads = transpose(
      g,
      reshape(g, x, [batch, tokens, numHeads, inner], 'split_heads'),
      [0, 2, 1, 3],
      'heads_first',
    )
    const products = transpose(g, matMul(g, heads, weight, 'product'), [0, 2, 1, 3], 'tokens_first')
    return reshape(g, products, [batch, tokens, numHeads * out], 'merge_heads')
  })
}
