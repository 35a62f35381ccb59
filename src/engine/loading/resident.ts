import type { Graph } from '../../graph/builder.ts'
import type { Device } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { BufferHeap, DeviceHeap } from '../../runtime/memory.ts'
import type { ResidentWeight } from '../../runtime/session.ts'
import { PlainUploads, type Uploads } from '../../runtime/uploads.ts'
import { type Tensor, byteLength } from '../../tensor/tensor.ts'
import { ParameterReader, type ParameterSources } from './parameter-reader.ts'
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

/** The part of a graph that is loaded: its parameters. */
export type Parameters = Pick<Graph, 'parameters'>

/**
 * Reads one block's parameters into the device's memory, converted to its dtype, through the sources' memory: while one
 * is copied by `uploads`, the next is read. Synchronous: for loading threads. Throws `CheckpointError` and
 * `RUNTIME_MEMORY`; nothing is left behind then.
 */
export function loadResidentBlock(
  heap: DeviceHeap,
  { parameters }: Parameters,
  sources: ParameterSources,
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
    const reader = new ParameterReader(sources)
    const weights = external.map((parameter, i) => {
      const { name, dtype, shape } = parameter
      const address = allocation + BigInt(offsets[i]!)
      const { data } = reader.read(parameter, { lent: true })
      uploads.write(address, data, () => sources.memory.give(data))
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
  { parameters }: Parameters,
  sources: ParameterSources,
): ResidentBlock {
  const inline = new Map<string, Tensor>()
  const weights: ResidentWeight[] = []
  const allocations: Allocation[] = []
  try {
    const reader = new ParameterReader(sources)
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
      sources.memory.give(tensor.data)
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
  graph: Parameters,
  sources: ParameterSources,
  uploads?: Uploads,
): ResidentBlock {
  if (device.kind === 'webgpu') return loadBufferedBlock(threadRuntime.buffers(), graph, sources)
  return loadResidentBlock(threadRuntime.heap(device), graph, sources, uploads)
}

/** What loading blocks onto a device uses and tells besides. */
export interface ResidentBlocksOptions {
  /** Copies what was read while the next is read. Default: copies are waited for. */
  readonly uploads?: Uploads | undefined
  /** Called after each block with how many there are. What it throws ends the loading. */
  readonly onBlock?: ((blocksLoaded: number) => void) | undefined
}

/**
 * Blocks one after the other, as `loadResidentBlock`; `sourcesOf` is asked for a block's sources when its turn comes.
 * Nothing is left behind of a failure.
 */
export function loadResidentBlocks(
  device: Device,
  blocks: readonly Parameters[],
  sourcesOf: (block: number) => ParameterSources,
  { uploads, onBlock }: ResidentBlocksOptions = {},
): ResidentBlock[] {
  const resident: ResidentBlock[] = []
  try {
    for (const [i, block] of blocks.entries()) {
      resident.push(loadOnDevice(device, block, sourcesOf(i), uploads))
      onBlock?.(resident.length)
    }
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
