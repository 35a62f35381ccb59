import { convert } from '../../tensor/convert.ts'
import type { DType } from '../../tensor/dtype.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'
import type { Graph } from '../builder.ts'
import { GraphError } from '../errors.ts'
import { int64s } from '../int64s.ts'
import { cast, reshape } from '../ops.ts'
import { factorsOf, productOf, reshapeOperand, sameElements } from '../shapes.ts'
import { int, type Shape, type Value, type ValueType } from '../value.ts'

/**
 * Sizes of a graph's axes as values, for shapes that are known only at run time. They are read from an input that has
 * an axis of the name, where there is one, so that no intermediate result is kept only for its shape.
 */
export class Sizes {
  readonly #g: Graph
  readonly #first: Value
  readonly #known = new Map<string, Value>()

  /** `first` is asked before all other inputs. */
  constructor(g: Graph, first: Value) {
    this.#g = g
    this.#first = first
  }

  /** The sizes of a shape's axes: int64 [axes]. Throws `GRAPH_VALUE` for a name that no value's axis has. */
  vector(shape: Shape): Value {
    const cut = this.#sizesOfPieces(shape)
    if (cut !== undefined) return cut
    const pieces: Value[] = []
    let fixed: number[] = []
    const flush = (): void => {
      if (fixed.length > 0) pieces.push(this.#g.constant('sizes', int64s(fixed)))
      fixed = []
    }
    for (const dim of shape) {
      if (typeof dim === 'number') fixed.push(dim)
      else {
        flush()
        pieces.push(this.#size(dim))
      }
    }
    flush()
    if (pieces.length === 0) return this.#g.constant('sizes', int64s([]))
    if (pieces.length === 1) return pieces[0]!
    const outputs = [{ dtype: 'int64' as const, shape: [shape.length] }]
    return this.#g.node({ op: 'Concat', name: 'sizes', inputs: pieces, outputs, attributes: { axis: int(0) } })[0]!
  }

  /** x in another shape of as many elements. */
  reshape(x: Value, shape: Shape, name: string): Value {
    if (x.shape.join() === shape.join()) return x
    if (sameElements(x.shape, shape) && reshapeOperand(x.shape, shape) !== undefined)
      return reshape(this.#g, x, shape, name)
    // A size may be 0 at run time: Reshape must not take it for "as it was".
    const attributes = { allowzero: int(1) }
    const inputs = [x, this.vector(shape)]
    return this.#g.node({ op: 'Reshape', name, inputs, outputs: [{ dtype: x.dtype, shape }], attributes })[0]!
  }

  /** x with its first `count` axes as one; without any, with one of size 1 before the others. */
  mergeFirst(x: Value, count: number, name: string): Value {
    if (count === 1) return x
    const rest = x.shape.slice(count)
    const shape = [productOf(x.shape.slice(0, count)), ...rest]
    const inputs = [x, this.vector([-1, ...rest])]
    return this.#g.node({ op: 'Reshape', name, inputs, outputs: [{ dtype: x.dtype, shape }] })[0]!
  }

  /** x repeated along its axes of size 1 (and new ones before them) until it has this shape. */
  expand(x: Value, shape: Shape, name: string): Value {
    if (x.shape.join() === shape.join()) return x
    const inputs = [x, this.vector(shape)]
    return this.#g.node({ op: 'Expand', name, inputs, outputs: [{ dtype: x.dtype, shape }] })[0]!
  }

  /** Zeros of this dtype and shape. */
  zeros({ dtype, shape }: ValueType, name: string): Value {
    const zero = convert(fromFloat32(new Float32Array(1), []), dtype)
    return this.expand(this.#g.constant(`${name}.zero`, zero), shape, name)
  }

  /** The product of sizes, as a float scalar. */
  product(dims: Shape, dtype: DType, name: string): Value {
    const attributes = { keepdims: int(0) }
    const outputs = [{ dtype: 'int64' as const, shape: [] }]
    const [count] = this.#g.node({ op: 'ReduceProd', name, inputs: [this.vector(dims)], outputs, attributes })
    return cast(this.#g, count!, dtype, name)
  }

  /** Where a value is cut into pieces whose sizes are only known at run time, these are a value already. */
  #sizesOfPieces(shape: Shape): Value | undefined {
    if (!shape.some((dim) => typeof dim === 'string')) return undefined
    const cut = this.#g.nodes.find(({ op, outputs, attributes: { axis } }) => {
      if (op !== 'Split' || outputs.length !== shape.length || axis?.type !== 'int') return false
      return outputs.every((piece, i) => piece.shape.at(axis.value) === shape[i])
    })
    return cut?.inputs[1]
  }

  #size(dim: string): Value {
    const known = this.#known.get(dim) ?? this.#read(dim, [this.#first, ...this.#g.inputs]) ?? this.#computed(dim)
    this.#known.set(dim, known)
    return known
  }

  /** The size of an axis of the first of these values that has one of this name. */
  #read(dim: string, values: readonly Value[]): Value | undefined {
    const source = values.find(({ shape }) => shape.includes(dim))
    if (source === undefined) return undefined
    const axis = source.shape.indexOf(dim)
    return this.#g.node({
      op: 'Shape',
      name: `size_of_${dim}`,
      inputs: [source],
      outputs: [{ dtype: 'int64', shape: [1] }],
      attributes: { start: int(axis), end: int(axis + 1) },
    })[0]!
  }

  /** A size that no input has: from its factors, if these are known, or of an intermediate result. */
  #computed(dim: string): Value {
    const factors = factorsOf(dim)
    if (factors.length > 1) {
      const attributes = { keepdims: int(1) }
      const outputs = [{ dtype: 'int64' as const, shape: [1] }]
      return this.#g.node({ op: 'ReduceProd', name: 'size', inputs: [this.vector(factors)], outputs, attributes })[0]!
    }
    const size = this.#read(
      dim,
      this.#g.nodes.flatMap(({ outputs }) => outputs),
    )
    if (size === undefined)
      throw new GraphError('GRAPH_VALUE', `graph ${this.#g.name}`, `no value has an axis of size "${dim}"`)
    return size
  }
}
