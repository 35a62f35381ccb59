import type { Dim, Shape } from './value.ts'

/** The sizes of axes that a graph only names. */
export type AxisSizes = Readonly<Record<string, number>>

/**
 * The size of an axis: of a number, itself; of a name, what `sizes` has for it; of `4*tokens` and `tokens+1`, what they
 * say. Undefined for a name that `sizes` lacks.
 */
export function dimSize(dim: Dim, sizes: AxisSizes): number | undefined {
  if (typeof dim === 'number') return dim
  const known = sizes[dim]
  if (known !== undefined) return known
  const [, factor, multiplied] = /^(\d+)\*(.+)$/.exec(dim) ?? []
  if (multiplied !== undefined) return times(Number(factor), dimSize(multiplied, sizes))
  const [, added, count] = /^(.+)\+(\d+)$/.exec(dim) ?? []
  const first = added === undefined ? undefined : dimSize(added, sizes)
  return first === undefined ? undefined : first + Number(count)
}

/** A shape in numbers. Throws `RangeError` for an axis whose size is not known. */
export function sizedShape(shape: Shape, sizes: AxisSizes): number[] {
  return shape.map((dim) => {
    const size = dimSize(dim, sizes)
    if (size === undefined) throw new RangeError(`nobody says how long an axis "${dim}" is`)
    return size
  })
}

function times(factor: number, size: number | undefined): number | undefined {
  return size === undefined ? undefined : factor * size
}
