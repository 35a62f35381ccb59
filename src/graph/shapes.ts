import type { Dim, Shape } from './value.ts'

/** The shape of an elementwise result by ONNX's (numpy's) broadcasting; undefined if the shapes do not fit together. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length)
  const shape: Dim[] = []
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1
    const right = b[axis - rank + b.length] ?? 1
    if (left !== right && left !== 1 && right !== 1) return undefined
    shape.push(left === 1 ? right : left)
  }
  return shape
}

/** Whether two shapes have the same number of elements for every value of their symbolic sizes. */
export function sameElements(a: Shape, b: Shape): boolean {
  return fixedElements(a) === fixedElements(b) && symbols(a) === symbols(b)
}

/**
 * The operand `shape` of ONNX's Reshape that turns `from` into `to`: 0 keeps the size at the same place, and one -1 is
 * inferred. Undefined if more than one symbolic size would have to be inferred.
 */
export function reshapeOperand(from: Shape, to: Shape): number[] | undefined {
  const sizes = to.map((dim, axis) => (typeof dim === 'number' ? dim : dim === from[axis] ? 0 : -1))
  return sizes.filter((size) => size === -1).length > 1 ? undefined : sizes
}

/** The size of the last axis; undefined for a scalar. */
export function lastDim(shape: Shape): Dim | undefined {
  return shape.at(-1)
}

/** The shape with another size of its last axis. */
export function withLastDim(shape: Shape, dim: Dim): Shape {
  return [...shape.slice(0, -1), dim]
}

/** The size of an axis that several axes become: a symbolic one is named after its factors, e.g. `rows*tokens*4`. */
export function productOf(shape: Shape): Dim {
  const symbols = symbolsOf(shape),
    fixed = fixedElements(shape)
  if (symbols.length === 0) return fixed
  return [...symbols, ...(fixed === 1 ? [] : [fixed])].join('*')
}

/** The factors of an axis's size: numbers and names. */
export function factorsOf(dim: Dim): Dim[] {
  if (typeof dim === 'number') return [dim]
  return dim.split('*').map((factor) => (/^\d+$/.test(factor) ? Number(factor) : factor))
}

function fixedElements(shape: Shape): number {
  return shape
    .flatMap(factorsOf)
    .reduce((product: number, factor) => (typeof factor === 'number' ? product * factor : product), 1)
}

function symbolsOf(shape: Shape): string[] {
  return shape.flatMap(factorsOf).filter((factor) => typeof factor === 'string')
}

function symbols(shape: Shape): string {
  return symbolsOf(shape).sort().join()
}
