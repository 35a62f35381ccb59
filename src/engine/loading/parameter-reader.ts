import { requireNaturalOrder } from '../../checkpoint/weights/group-order.ts'
import { readBytes, readBytesInto, readTensor } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { type StoredValues, type UnpackedMatrix, unpackMatrix, widenFloat8 } from '../../checkpoint/weights/unpack.ts'
import {
  type AssembledSource,
  type FloatMatrix,
  type MatrixPart,
  type MicroscaledSource,
  storedModule,
  type Parameter,
  type QuantizedSource,
  type StoredModule,
  type StoredSource,
  type UnpackedSource,
  type WidenedSource,
} from '../../graph/parameter.ts'
import { convert } from '../../tensor/convert.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type BlockFormat, type QuantFormat, type QuantizedMatrix, quantizedSizes } from '../../tensor/quantize.ts'
import { asFloat32, fromFloat32, numElements, type Tensor } from '../../tensor/tensor.ts'
import { assemble, assembleCodes, assembleQuantized, assembleScales, quantize } from './assemble.ts'
import type { QuantCacheFile } from './quant-cache.ts'
import { readValues } from './values/read-values.ts'
import type { WeightMemory } from './weight-memory.ts'

/** Where the values of a graph's parameters come from. */
export interface ParameterSources {
  /** The stored tensors, by the names of parameters or of their parts. */
  readonly slices: ReadonlyMap<string, TensorSlice>
  /** What values are lent from that are copied on. */
  readonly memory: WeightMemory
  /** What was quantized before. */
  readonly cache?: QuantCacheFile | undefined
  /** Values that are taken in place of stored ones, by the names of parameters. */
  readonly given?: ReadonlyMap<string, Tensor> | undefined
}

/**
 * Reads the parameters of one graph, in the forms that it takes them in. Synchronous: for loading threads. What it
 * reads lies in memory of its own, or, where told so, in `memory`, to which the caller gives it back.
 */
export class ParameterReader {
  readonly #slices: ReadonlyMap<string, TensorSlice>
  readonly #memory: WeightMemory
  readonly #cache: QuantCacheFile | undefined
  readonly #given: ReadonlyMap<string, Tensor>
  /** Matrices one half of which has been asked for. */
  readonly #halves = new Map<string, QuantizedMatrix>()
  /** The last matrix of a quantized checkpoint: its parts are asked for one after the other. */
  #last: { readonly module: string; readonly matrix: UnpackedMatrix } | undefined

  constructor({ slices, memory, cache, given = new Map() }: ParameterSources) {
    this.#slices = slices
    this.#cache = cache
    this.#memory = memory
    this.#given = given
  }

  /** Throws as `readTensor`. */
  read(parameter: Parameter, { lent }: { readonly lent: boolean }): Tensor {
    const { name, shape, source } = parameter
    const dtype = parameter.dtype as FloatDType
    const given = this.#given.get(name)
    if (given !== undefined) return convert(given, dtype)
    if ('part' in source && source.part === 'values') return this.#values(parameter)
    switch (source.kind) {
      case 'stored': {
        const slice = this.#slices.get(name)!
        return lent ? this.#memory.read(slice, dtype) : readTensor(slice, dtype)
      }
      case 'assembled':
        return assemble(shape, source.parts, dtype, (part) => this.#part(source, part, dtype).data)
      case 'widened':
        return convert(this.#widened(source), dtype)
      case 'unpacked':
        return this.#unpacked(parameter, source)
      case 'microscaled':
        return this.#microscaled(parameter, source)
      case 'quantized':
        return this.#half(parameter, source, lent)
    }
  }

  /** To be called when all of the graph's parameters have been read. */
  finish(): void {
    this.#cache?.save()
  }

  #values(parameter: Parameter): Tensor {
    const values = new Float32Array(numElements(parameter.shape))
    for (const _ of readValues(parameter, this.#slices, values)) continue
    return fromFloat32(values, parameter.shape)
  }

  #half({ dtype, shape }: Parameter, { format, part, matrix }: QuantizedSource, lent: boolean): Tensor {
    const found = this.#halves.get(matrix.name)
    const { codes, scales } = found ?? this.#cached(matrix, format, lent) ?? this.#make(matrix, format, lent)
    if (found === undefined) this.#halves.set(matrix.name, { codes, scales })
    else this.#halves.delete(matrix.name)
    return part === 'codes' ? { dtype, shape, data: codes } : convert(fromFloat32(scales, shape), dtype as FloatDType)
  }

  #cached({ name, shape }: FloatMatrix, format: QuantFormat, lent: boolean): QuantizedMatrix | undefined {
    const columns = shape.at(-1)!
    const { blocks, codeBytes } = quantizedSizes(format, numElements(shape) / columns, columns)
    const codes = this.#cache?.find(`${name}.codes`),
      scales = this.#cache?.find(`${name}.scales`)
    if (codes?.byteLength !== codeBytes || scales?.byteLength !== 4 * blocks) return undefined
    const target = lent ? this.#memory.take(codeBytes) : new Uint8Array(codeBytes)
    readBytesInto(codes, target)
    return { codes: target, scales: new Float32Array(readBytes(scales).buffer) }
  }

  #make(matrix: FloatMatrix, format: QuantFormat, lent: boolean): QuantizedMatrix {
    const { shape, source } = matrix
    const made =
      source.kind === 'assembled'
        ? assembleQuantized(shape, source.parts, format as BlockFormat, (part) =>
            asFloat32(this.#part(source, part, 'float32')),
          )
        : this.#quantize(format, this.#floats(matrix.name, source), lent)
    this.#cache?.keep(`${matrix.name}.codes`, { dtype: 'uint8', shape: [made.codes.length], data: made.codes })
    this.#cache?.keep(`${matrix.name}.scales`, fromFloat32(made.scales, [made.scales.length]))
    return made
  }

  /** A part of an assembled parameter, as stored or multiplied by its scales. */
  #part({ quant }: AssembledSource, part: MatrixPart, dtype: FloatDType): Tensor {
    if (quant === undefined) return this.#stored(part.name, dtype)
    return convert(this.#widened({ kind: 'widened', quant, module: storedModule(part) }), dtype)
  }

  /** In memory that `#memory` is given back. */
  #floats(name: string, source: StoredSource | WidenedSource): Tensor {
    return source.kind === 'widened' ? this.#widened(source) : this.#memory.read(this.#slices.get(name)!, 'float32')
  }

  /** In float32. */
  #widened({ quant, module }: WidenedSource): Tensor {
    return widenFloat8(quant, module.shape, this.#storedValues(module))
  }

  #unpacked({ dtype, shape }: Parameter, { quant, part, module }: UnpackedSource): Tensor {
    if (this.#last?.module !== module.name) {
      const order = this.#slices.get(`${module.name}.${quant.order}`)
      if (order !== undefined) requireNaturalOrder(quant, order)
      this.#last = { module: module.name, matrix: unpackMatrix(quant, module.shape, this.#storedValues(module)) }
    }
    const { matrix } = this.#last
    if (part === 'scales') return convert(fromFloat32(matrix.scales, shape), dtype as FloatDType)
    return { dtype: 'uint8', shape, data: part === 'zeros' ? matrix.zeros! : matrix.codes }
  }

  #microscaled({ dtype, shape }: Parameter, { part, stored }: MicroscaledSource): Tensor {
    const bytes = (piece: string) => readBytes(this.#slices.get(`${stored.name}_${piece}`)!)
    if (part === 'codes') return { dtype, shape, data: assembleCodes(shape, stored, bytes('blocks')) }
    return convert(fromFloat32(assembleScales(shape, stored, bytes('scales')), shape), dtype)
  }

  #storedValues({ name }: StoredModule): StoredValues {
    return {
      bytes: (piece) => readBytes(this.#slices.get(`${name}.${piece}`)!),
      floats: (piece) => asFloat32(this.#stored(`${name}.${piece}`, 'float32')),
    }
  }

  #quantize(format: QuantFormat, full: Tensor, lent: boolean): QuantizedMatrix {
    const quantized = quantize(format, full, (bytes) => (lent ? this.#memory.take(bytes) : new Uint8Array(bytes)))
    this.#memory.give(full.data)
    return quantized
  }

  #stored(name: string, dtype: FloatDType): Tensor {
    return readTensor(this.#slices.get(name)!, dtype)
  }
}
