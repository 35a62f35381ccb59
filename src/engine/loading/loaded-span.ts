import type { Device } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { Quantization } from '../../tensor/quantize.ts'
import type { CacheShape } from '../cache/rows/row-memory.ts'
import type { ResidentBlock } from './resident.ts'

/** What the engine thread knows of its span: handles and sizes, no weights. Plain data. */
export interface LoadedSpan extends CacheShape {
  readonly device: Device
  readonly quant: Quantization | undefined
  /** Of the model's blocks, the first that it holds. */
  readonly start: number
  /** One session per block, in the order of the span, on a CPU. */
  readonly sessions: readonly Pointer[]
  readonly hiddenSize: number
  /** Of each block, the names of what its graph takes. */
  readonly inputs: readonly ReadonlySet<string>[]
  /** Of each block, where the weights lie in the device's memory; sessions are made when first needed then. */
  readonly resident?: readonly ResidentBlock[] | undefined
}
