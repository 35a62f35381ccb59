import { dtypeSize } from '../../tensor/dtype.ts'
import { GraphError } from '../errors.ts'
import type { Shape, Value } from '../value.ts'

/**
 * The bytes of values, e.g. of those that a forward pass saves for the backward pass. `sizes` are those of the axes that
 * only have names: with 1 row and 1 token it is the bytes of each token, since no saved value grows with their square.
 * Throws `GRAPH_VALUE` for a name without a size.
 */
export function savedBytes(values: readonly Value[], sizes: Readonly<Record<string, number>>): number {
  return values.reduce((sum, value) => sum + valueBytes(value, sizes), 0)
}

function valueBytes({ name, dtype, shape }: Value, sizes: Readonly<Record<string, number>>): number {
  return shape.reduce<number>((product, dim) => {
    // A merged axis is named by its factors (`productOf`).
    const factors = typeof dim === 'number' ? [dim] : dim.split('*').map((part) => sizeOf(part, sizes))
    const size = factors.reduce((all, factor) => all * factor, 1)
    if (Number.isNaN(size)) throw new GraphError('GRAPH_VALUE', `value ${name}`, `the size "${dim}" is not known`)
    return product * size
  }, dtypeSize(dtype))
}

/** Of a number, a name, or a name and what was appended (`append`). */
function sizeOf(factor: string, sizes: Readonly<Record<string, number>>): number {
  const [name = '', more = '0'] = factor.split('+')
  return (sizes[name] ?? Number(name)) + Number(more)
}

/** The names of the sizes that a shape depends on, one for each time that it does. */
export function sizeNames(shape: Shape): string[] {
  const factors = shape.flatMap((dim) => (typeof dim === 'string' ? dim.split('*') : []))
  return factors.map((factor) => factor.split('+')[0]!).filter((name) => Number.isNaN(Number(name)))
}
