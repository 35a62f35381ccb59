import type { FinishedGraph } from '../../src/graph/encode.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import type { Shape } from '../../src/graph/value.ts'
import { CPU, type Device } from '../../src/runtime/device.ts'
import { createEnvironment, environmentFor } from '../../src/runtime/environment.ts'
import type { Pointer } from '../../src/runtime/library.ts'
import { type Bound, runBound } from '../../src/runtime/run.ts'
import { createResidentSession } from '../../src/runtime/session.ts'
import { TensorScope } from '../../src/runtime/tensor-scope.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { memoryInfo } from '../../src/runtime/values.ts'
import { openWebGpu } from '../../src/runtime/webgpu/open.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { DType, FloatDType } from '../../src/tensor/dtype.ts'
import { type Tensor, asFloat32, byteLength } from '../../src/tensor/tensor.ts'

/** Sizes of the axes that only have names. */
type Axes = Readonly<Record<string, number>>

/** The library reads these in this process's memory. */
const ON_HOST = /^total/

/**
 * A graph of a few operators on a device, whose inputs and outputs lie in the device's memory. Outputs that are named
 * as one of `inPlace` have the memory of that input.
 */
export class OperatorRun implements Disposable {
  readonly #device: Device
  readonly #graph: FinishedGraph
  readonly #env
  readonly #heap
  readonly #session: Pointer
  readonly #places = new Map<string, { readonly piece: Pointer; readonly bytes: number }>()
  readonly #inPlace: Readonly<Record<string, string>>

  /** `weights`: the graph's parameters. Throws `RuntimeError`. */
  constructor(
    device: Device,
    graph: FinishedGraph,
    weights: Readonly<Record<string, Tensor>> = {},
    inPlace: Readonly<Record<string, string>> = {},
  ) {
    this.#device = device
    this.#graph = graph
    this.#inPlace = inPlace
    this.#env = environmentFor(device, createEnvironment({ threads: 1, spin: false }))
    if (device.kind === 'webgpu') openWebGpu(this.#env, device)
    this.#heap = threadRuntime.pieces(device)
    const resident = Object.entries(weights).map(([name, { dtype, shape, data }]) => {
      const address = this.#place(name, data.byteLength)
      this.#heap.write(address, data)
      return { name, dtype, shape, address }
    })
    const options = { cudaGraphs: false, workspaceBytes: 2 ** 30 }
    this.#session = createResidentSession(this.#env, device, encodeModel(graph, new Map()), resident, options)
  }

  /** Floats in the graph's dtype; what is left out keeps what it held. Gives the first output, in float32. */
  run(inputs: Readonly<Record<string, Tensor>>, axes: Axes): Float32Array {
    const { ort } = this.#env
    const [host, memory] = [memoryInfo(ort, CPU), memoryInfo(ort, this.#device)]
    const options = ort.create('CreateRunOptions')
    using scope = new TensorScope(ort)
    try {
      const wrap = ({ dtype, shape }: { readonly dtype: DType; readonly shape: Shape }, name: string): Pointer => {
        const sizes = shape.map((dim) => (typeof dim === 'number' ? dim : axes[dim]!))
        const given = inputs[name] && toDType(inputs[name], dtype)
        if (given !== undefined && ON_HOST.test(name)) return scope.wrap(host, dtype, sizes, given.data)
        const piece = this.#place(this.#inPlace[name] ?? name, byteLength(dtype, sizes))
        if (given !== undefined) this.#heap.write(piece, given.data)
        return scope.wrap(memory, dtype, sizes, piece)
      }
      const from = this.#graph.inputs.map((input): Bound => [input.name, wrap(input, input.name)])
      const to = this.#graph.outputs.map(({ name, value }): Bound => [name, wrap(value, name)])
      runBound(ort, this.#session, options, from, to)
      const [{ name, value }] = this.#graph.outputs as [FinishedGraph['outputs'][number]]
      const shape = value.shape.map((dim) => (typeof dim === 'number' ? dim : axes[dim]!))
      const data = new Uint8Array(byteLength(value.dtype, shape))
      this.#heap.read(this.#places.get(name)!.piece, data)
      return asFloat32(convert({ dtype: value.dtype as FloatDType, shape, data }, 'float32'))
    } finally {
      ort.release('ReleaseRunOptions', options)
      ort.release('ReleaseMemoryInfo', host)
      ort.release('ReleaseMemoryInfo', memory)
    }
  }

  [Symbol.dispose](): void {
    this.#env.ort.release('ReleaseSession', this.#session)
    for (const { piece } of this.#places.values()) this.#heap.free(piece)
    this.#places.clear()
  }

  #place(name: string, bytes: number): Pointer {
    const known = this.#places.get(name)
    if (known !== undefined && known.bytes >= bytes) return known.piece
    if (known !== undefined) this.#heap.free(known.piece)
    const piece = this.#heap.allocate(bytes)
    this.#places.set(name, { piece, bytes })
    return piece
  }
}

function toDType(tensor: Tensor, dtype: DType): Tensor {
  return tensor.dtype === dtype ? tensor : convert(tensor, dtype as FloatDType)
}
