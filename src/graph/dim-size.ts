import type { Dim, Shape } from './value.ts'

/** The sizes of axes that a graph only names. */
export type AxisSizes = Readonly<Record<string, number>>

/**
 * The size of an axis: of a number, itself; of a name, what `sizes` has for it; of `4*tokens`, `rows*tokens` and
 * `tokens+1`, what they say. Undefined where that takes a name that `sizes` lacks.
 */
export function dimSize(dim: Dim, sizes: AxisSizes): number | undefined {
  if (typeof dim === 'number') return dim
  const term = (name: string): number => sizes[name] ?? (name === '' ? Number.NaN : Number(name))
  const factor = (sum: string): number => sum.split('+').reduce((all, name) => all + term(name), 0)
  const size = sizes[dim] ?? dim.split('*').reduce((all, name) => all * factor(name), 1)
  return Number.isNaN(size) ? undefined : size
}

/** A shape in numbers. Throws `RangeError` for an axis whose size is not known. */
export function sizedShape(shape: Shape, sizes: AxisSizes): number[] {
  return shape.map((dim) => {
    const size = dimSize(dim, sizes)
    if (size === undefined) throw new RangeError(`nobody says how long an axis "${dim}" is`)
    return size
  })
}
