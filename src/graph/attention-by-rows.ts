import type { Projections, ScaledAttentionOutputs } from './attention.ts'
import type { Graph } from './builder.ts'
import { splitAxis } from './ops.ts'
import { concatRows } from './row-ops.ts'
import type { Value } from './value.ts'

/** What attention yields for a number of rows, each with a cache of its own. */
export interface RowsAttended {
  /** [rows, tokens, heads * channels] */
  readonly output: Value
  readonly rows: readonly ScaledAttentionOutputs[]
}

/**
 * Attends row by row: `attend` computes row `row` of the projections, each [1, tokens, channels]. For caches that are
 * no slices of one tensor.
 */
export function attentionByRows(
  g: Graph,
  { query, key, value }: Projections,
  rows: number,
  attend: (projections: Projections, row: number) => ScaledAttentionOutputs,
): RowsAttended {
  const apart = (x: Value, name: string) =>
    rows === 1 ? [x] : splitAxis(g, x, 0, Array<number>(rows).fill(1), `${name}_of_rows`)
  const [queries, keys, values] = [apart(query, 'query'), apart(key, 'key'), apart(value, 'value')] as const
  const attended = queries.map((own, row) =>
    g.scope(`row_${row}`, () => attend({ query: own, key: keys[row]!, value: values[row]! }, row)),
  )
  const outputs = attended.map(({ output }) => output)
  return { rows: attended, output: rows === 1 ? outputs[0]! : concatRows(g, outputs, rows, 'rows_attended') }
}
