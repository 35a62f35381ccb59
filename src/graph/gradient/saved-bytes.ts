import { dtypeSize } from '../../tensor/dtype.ts'
import { GraphError } from '../errors.ts'
import { factorsOf } from '../shapes.ts'
import type { Dim, Shape, Value } from '../value.ts'

/**
 * The bytes of values, e.g. of those that a forward pass saves for the backward pass. `sizes` are those of the axes
 * that only have names: with 1 row and 1 token it is the bytes of each token, since no saved value grows with their
 * square. Throws `GRAPH_VALUE` for a name without a size.
 */
export function savedBytes(values: readonly Value[], sizes: Readonly<Record<string, number>>): number {
  return values.reduce((sum, value) => sum + valueBytes(value, sizes), 0)
}

function valueBytes({ name, dtype, shape }: Value, sizes: Readonly<Record<string, number>>): number {
  const sizeOf = (term: string): number => {
    const size = sizes[term] ?? Number(term)
    if (Number.isNaN(size)) throw new GraphError('GRAPH_VALUE', `value ${name}`, `the size "${term}" is not known`)
    return size
  }
  return shape
    .flatMap(factorsOf)
    .map((factor) => termsOf(factor).reduce((sum, term) => sum + sizeOf(term), 0))
    .reduce((product, size) => product * size, dtypeSize(dtype))
}

/** The names of the sizes that a shape depends on, one for each time that it does. */
export function sizeNames(shape: Shape): string[] {
  return shape
    .flatMap(factorsOf)
    .flatMap(termsOf)
    .filter((term) => Number.isNaN(Number(term)))
}

/** What a size is the sum of: that of an axis to which one element was appended is named like "tokens+1". */
function termsOf(dim: Dim): string[] {
  return String(dim).split('+')
}
