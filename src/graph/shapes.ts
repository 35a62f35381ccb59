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

/** `count` times a size, which may be symbolic: 4 times `tokens` is `4*tokens`. */
export function multiple(count: number, dim: Dim): Dim {
  if (typeof dim === 'number') return count * dim
  const { factor, symbol } = parts(dim)
  return count * factor === 1 ? symbol : `${count * factor}*${symbol}`
}

function parts(dim: Dim): { readonly factor: number; readonly symbol: string } {
  if (typeof dim === 'number') return { factor: dim, symbol: '' }
  const [, factor = '1', symbol = dim] = /^(\d+)\*(.*)$/.exec(dim) ?? []
  return { factor: Number(factor), symbol }
}

/** The product of sizes. The name of one that is known only when the graph runs is its factors, joined by "*". */
export function productOf(shape: Shape): Dim {
  const fixed = fixedElements(shape)
  const names = shape.filter((dim) => typeof dim === 'string')
  if (names.length === 0) return fixed
  return [...names, ...(fixed === 1 ? [] : [fixed])].join('*')
}

function fixedElements(shape: Shape): number {
  return shape.reduce((product: number, dim) => product * parts(dim).factor, 1)
}

function symbols(shape: Shape): string {
  return shape
    .map((dim) => parts(dim).symbol)
    .filter((symbol) => symbol !== '')
    .sort()
    .join()
}
