import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Graph } from '../../graph/builder.ts'
import type { Device } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { BufferHeap, DeviceHeap } from '../../runtime/memory.ts'
import type { ResidentWeight } from '../../runtime/session.ts'
import { PlainUploads, type Uploads } from '../../runtime/uploads.ts'
import { type Tensor, byteLength } from '../../tensor/tensor.ts'
import { ParameterReader } from './parameter-reader.ts'
import type { QuantCacheFile } from './quant-cache.ts'
import type { WeightMemory } from './weight-memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/** A block's parameters by their names within the block: matrices in the device's memory, small vectors as they are. */
export interface ResidentBlock {
  readonly weights: readonly ResidentWeight[]
  readonly inline: ReadonlyMap<string, Tensor>
  /** What holds the weights. */
  readonly allocations: readonly Allocation[]
}

export interface Allocation {
  readonly pointer: Pointer
  readonly bytes: number
}

/** Kernels read whole cache lines and vectors: what cudaMalloc itself gives for every allocation. */
const ALIGNMENT = 256

/**
 * Reads one block's parameters into the device's memory, converted to its dtype, through `memory`: while one is copied
 * by `uploads`, the next is read. `given`: values of parameters in place of stored ones. Synchronous: for loading
 * threads. Throws `CheckpointError` and `RUNTIME_MEMORY`; nothing is left behind then.
 */
export function loadResidentBlock(
  heap: DeviceHeap,
  { parameters }: Pick<Graph, 'parameters'>,
  slices: ReadonlyMap<string, TensorSlice>,
  memory: WeightMemory,
  cache?: QuantCacheFile,
  given?: ReadonlyMap<string, Tensor>,
  uploads: Uploads = new PlainUploads(heap),
): ResidentBlock {
  const inline = new Map<string, Tensor>()
  const external = parameters.filter(({ placement }) => placement === 'external')
  const offsets: number[] = []
  let bytes = 0
  for (const { dtype, shape } of external) {
    offsets.push(bytes)
    bytes += Math.ceil(byteLength(dtype, shape) / ALIGNMENT) * ALIGNMENT
  }
  const allocation = heap.allocate(bytes)
  try {
    const reader = new ParameterReader(slices, memory, cache, given)
    const weights = external.map((parameter, i) => {
      const { name, dtype, shape } = parameter
      const address = allocation + BigInt(offsets[i]!)
      const { data } = reader.read(parameter, { lent: true })
      uploads.write(address, data, () => memory.give(data))
      return { name, dtype, shape, address }
    })
    for (const parameter of parameters)
      if (parameter.placement === 'inline') inline.set(parameter.name, reader.read(parameter, { lent: false }))
    reader.finish()
    uploads.finish()
    return { weights, inline, allocations: [{ pointer: allocation, bytes }] }
  } catch (error) {
    // Nothing may be copied there any more.
    attempt(() => uploads.finish())
    heap.free(allocation)
    throw error
  }
}

/**
 * As `loadResidentBlock`, each weight in a buffer of its own. Throws the same; nothing is left behind then.
 */
export function loadBufferedBlock(
  heap: BufferHeap,
  { parameters }: Pick<Graph, 'parameters'>,
  slices: ReadonlyMap<string, TensorSlice>,
  memory: WeightMemory,
  cache?: QuantCacheFile,
  given?: ReadonlyMap<string, Tensor>,
): ResidentBlock {
  const inline = new Map<string, Tensor>()
  const weights: ResidentWeight[] = []
  const allocations: Allocation[] = []
  try {
    const reader = new ParameterReader(slices, memory, cache, given)
    for (const parameter of parameters) {
      const { name, dtype, shape, placement } = parameter
      const tensor = reader.read(parameter, { lent: placement === 'external' })
      if (placement === 'inline') {
        inline.set(name, tensor)
        continue
      }
      const address = heap.allocate(tensor.data.byteLength)
      allocations.push({ pointer: address, bytes: tensor.data.byteLength })
      heap.write(address, tensor.data)
      memory.give(tensor.data)
      weights.push({ name, dtype, shape, address })
    }
    reader.finish()
    return { weights, inline, allocations }
  } catch (error) {
    for (const { pointer } of allocations) heap.free(pointer)
    throw error
  }
}

/** Reads a graph's parameters into the memory of a device, whatever that is like. As `loadResidentBlock`. */
export function loadOnDevice(
  device: Device,
  graph: Pick<Graph, 'parameters'>,
  slices: ReadonlyMap<string, TensorSlice>,
  memory: WeightMemory,
  cache?: QuantCacheFile,
  given?: ReadonlyMap<string, Tensor>,
  uploads?: Uploads,
): ResidentBlock {
  if (device.kind === 'webgpu') return loadBufferedBlock(threadRuntime.buffers(), graph, slices, memory, cache, given)
  return loadResidentBlock(threadRuntime.heap(device), graph, slices, memory, cache, given, uploads)
}

/**
 * Blocks one after the other, as `loadResidentBlock`; `onBlock` is told how many are there. Nothing is left behind of a
 * failure.
 */
export function loadResidentBlocks(
  device: Device,
  graphs: readonly Pick<Graph, 'parameters'>[],
  slices: readonly ReadonlyMap<string, TensorSlice>[],
  memory: WeightMemory,
  onBlock: (blocksLoaded: number) => void,
  cacheOf: (block: ReadonlyMap<string, TensorSlice>) => QuantCacheFile | undefined = () => undefined,
  uploads?: Uploads,
): ResidentBlock[] {
  const resident: ResidentBlock[] = []
  try {
    for (const [i, block] of slices.entries())
      onBlock(resident.push(loadOnDevice(device, graphs[i]!, block, memory, cacheOf(block), undefined, uploads)))
    return resident
  } catch (error) {
    releaseResident({ device, resident })
    throw error
  }
}

/** Gives back the weights of a span whose sessions are gone; nothing where it has none on a device. */
export function releaseResident({
  device,
  resident: blocks,
}: {
  readonly device: Device
  readonly resident?: readonly ResidentBlock[] | undefined
}): void {
  if (blocks === undefined) return
  const allocations = blocks.flatMap((block) => block.allocations)
  if (device.kind !== 'webgpu') {
    const heap = threadRuntime.heap(device)
    for (const { pointer } of allocations) heap.free(pointer)
    return
  }
  const buffers = threadRuntime.buffers()
  for (const { pointer, bytes } of allocations) {
    buffers.adopt(pointer, bytes)
    buffers.free(pointer)
  }
}

function attempt(work: () => void): void {
  try {
    work()
  } catch {
    // What failed before is told.
  }
}
