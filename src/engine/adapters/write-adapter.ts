import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../../base/errors.ts'
import { readTensor } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Device } from '../../runtime/device.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import { convert } from '../../tensor/convert.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../tensor/tensor.ts'
import type { AdapterStack, RankRange } from './adapter-memory.ts'
import type { FittedModule } from '../../families/graphs/fit-adapter.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/** One adapter's way into the stacks of a span. Plain data. */
export interface WriteJob {
  readonly device: Device
  readonly dtype: FloatDType
  readonly range: RankRange
  /** Every stack of the span, with the module that goes there; the others become zero. */
  readonly places: readonly { readonly stack: AdapterStack; readonly module: FittedModule | undefined }[]
}

/** What the thread that loads an adapter is asked. */
export interface WriteCalls {
  write(job: WriteJob): void
}

/**
 * The largest float16: beyond it a product could become infinite, and infinity times another adapter's zero is no
 * number.
 */
const MAX_WEIGHT = 65_504

/** An adapter of fewer elements is written by the thread that asks, in pieces, if its matrices are in memory. */
const MAX_ELEMENTS_HERE = 4 << 20

/** Milliseconds of writing after which other things have their turn. */
const TURN_MS = 1

/**
 * Reads an adapter's matrices and writes them to their ranks of the stacks, B transposed and scaled, A transposed where
 * the stack says so: within the adapter's own ranks then. Synchronous: for threads. Throws `ADAPTER_WEIGHT` for one
 * that is not finite or too large, and `CheckpointError`.
 */
export function writeAdapter(job: WriteJob): void {
  for (const write of writesOf(job)) write()
}

/**
 * Whether `writeInPieces` is the quicker way: to start a thread takes longer than to write a small adapter. On a GPU a
 * write may have to wait for a run.
 */
export function isQuickToWrite({ device, range, places }: WriteJob): boolean {
  if (device.kind !== 'cpu') return false
  const elements = places.reduce((sum, { stack }) => sum + range.ranks * (stack.inFeatures + stack.outFeatures), 0)
  return elements <= MAX_ELEMENTS_HERE && places.every(({ module }) => module === undefined || isInMemory(module))
}

/** As `writeAdapter`, for a thread that must stay responsive. Rejects with the signal's reason. */
export async function writeInPieces(job: WriteJob, signal: AbortSignal): Promise<void> {
  let began = performance.now()
  for (const write of writesOf(job)) {
    signal.throwIfAborted()
    write()
    if (performance.now() - began < TURN_MS) continue
    await setImmediate()
    began = performance.now()
  }
}

/** One for each stack. */
function writesOf({ device, dtype, range, places }: WriteJob): (() => void)[] {
  const heap = threadRuntime.heap(device)
  return places.map(({ stack, module }) => () => {
    const { inFeatures, outFeatures } = stack
    const a = new Float32Array(range.ranks * inFeatures),
      b = new Float32Array(range.ranks * outFeatures)
    if (module !== undefined) {
      const stored = weights(module, 'a')
      if (stack.transposesA) transposeInto(a, stored, { rows: module.rank, width: range.ranks })
      else a.set(stored)
      transposeInto(b, weights(module, 'b'), { rows: outFeatures, width: outFeatures, scale: module.scaling })
    }
    write(heap, stack.a, a, [range, inFeatures], dtype)
    write(heap, stack.b, b, [range, outFeatures], dtype)
  })
}

function isInMemory({ a, b }: FittedModule): boolean {
  return !isSlice(a) && !isSlice(b)
}

function weights(module: FittedModule, half: 'a' | 'b'): Float32Array {
  const stored = module[half]
  const values = asFloat32(isSlice(stored) ? readTensor(stored, 'float32') : convert(stored, 'float32'))
  const scale = half === 'b' ? module.scaling : 1
  if (!values.every((value) => Math.abs(value * scale) <= MAX_WEIGHT)) {
    throw new PetalsError(
      'ADAPTER_WEIGHT',
      `${module.name}.lora_${half.toUpperCase()} has weights that are not finite, or above ${MAX_WEIGHT}`,
    )
  }
  return values
}

/** [rows, columns] -> the first `rows` columns of [columns, width], scaled. */
function transposeInto(
  target: Float32Array,
  values: Float32Array,
  { rows, width, scale = 1 }: { readonly rows: number; readonly width: number; readonly scale?: number },
): void {
  const columns = values.length / rows
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      target[column * width + row] = values[row * columns + column]! * scale
}

function write(
  heap: DeviceHeap,
  stack: bigint,
  values: Float32Array,
  [{ first, ranks }, width]: [RankRange, number],
  dtype: FloatDType,
): void {
  const { data } = convert(fromFloat32(values, [ranks, width]), dtype)
  heap.write(stack + BigInt(first * width * dtypeSize(dtype)), data)
}

function isSlice(stored: TensorSlice | Tensor): stored is TensorSlice {
  return 'file' in stored
}
