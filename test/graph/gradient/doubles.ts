import type { Tensor } from '../../../src/tensor/tensor.ts'

/** A tensor of float64; whole numbers and truth values (0, 1) as well. */
export interface Doubles {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1)
}

export function doubles(shape: readonly number[], of: (index: number) => number): Doubles {
  return { shape, data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => of(i)) }
}

export function fromTensor({ dtype, shape, data }: Tensor): Doubles {
  const { buffer } = data.slice()
  if (dtype === 'float32') return { shape, data: Float64Array.from(new Float32Array(buffer)) }
  if (dtype === 'int64') return { shape, data: Float64Array.from(new BigInt64Array(buffer), Number) }
  throw new Error(`no ${dtype} here`)
}

/** The places of an element along each axis. */
export function placesOf(index: number, shape: readonly number[]): number[] {
  const places: number[] = []
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    places[axis] = index % shape[axis]!
    index = Math.floor(index / shape[axis]!)
  }
  return places
}

/**
 * The index of an element; axes of size 1 count only their first, and the last axes of `places` are those of `shape`.
 */
export function indexAt(places: readonly number[], shape: readonly number[]): number {
  const offset = places.length - shape.length
  return shape.reduce((index, dim, axis) => index * dim + (dim === 1 ? 0 : places[axis + offset]!), 0)
}
