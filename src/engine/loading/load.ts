/*
 * The room `loading/`: weights from safetensors, or from a file of quantized ones, into sessions of the runtime. It
 * works in threads of its own, which end when all is there; what stays is a `LoadedSpan`, handles and sizes.
 */
import { PetalsError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { Thread } from '../../base/thread/thread.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { KvDType, Target } from '../../graph/lowering.ts'
import type { Device } from '../../runtime/device.ts'
import type { ThreadOptions } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { useFastQuantizedExperts } from '../../runtime/quantized-experts.ts'
import { shareHeaps, trimHeap } from '../../runtime/system-memory.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Quantization } from '../../tensor/quantize.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { LoadedSpan } from './loaded-span.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

export interface LoadOptions extends ThreadOptions {
  readonly checkpoint: Checkpoint
  readonly start: number
  readonly end: number
  readonly device: Device
  readonly dtype: FloatDType
  /** How the matrices of linear layers are kept: as they are where left out. */
  readonly quant?: Quantization | undefined
  /** How keys and values are kept: in `dtype` where left out. */
  readonly kvDType?: KvDType | undefined
  /** Folder to keep quantized matrices in, and to take them from. */
  readonly quantCache?: string | undefined
  /** What LoRA adapters may take; without it the span has no place for any. */
  readonly adapterBytes?: number | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Called with what went wrong without ending the load. */
  readonly onWarning?: ((warning: string) => void) | undefined
  /** Ends loading after the block that is being loaded; `load` rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** Blocks are loaded first; then, on some devices, what computes them is prepared. */
export type LoadProgress = BlocksLoaded | StepsPrepared

export interface BlocksLoaded {
  readonly blocksLoaded: number
  readonly numBlocks: number
}

export interface StepsPrepared {
  readonly prepared: number
  readonly toPrepare: number
}

/** What a span's graphs are lowered for. */
export function targetOf({
  device,
  dtype,
  quant,
  kvDType,
  adapterBytes = 0,
}: Pick<LoadOptions, 'device' | 'dtype' | 'quant' | 'kvDType' | 'adapterBytes'>): Target {
  return { device: device.kind, dtype, quant, kvDType, adapters: adapterBytes > 0 }
}

/** What both threads are told: plain data. */
export type BlockOptions = Omit<LoadOptions, 'onProgress' | 'onWarning' | 'signal'>

/** What the loading thread is told. */
export interface LoadBlocksOptions extends BlockOptions {
  /** Whether the loading thread hashes as well. */
  readonly withDigests: boolean
  /** One int32: not 0 once nobody wants the blocks any more. */
  readonly stop: SharedArrayBuffer
}

/** Smaller models are hashed before another thread would have started. */
const MIN_HASHING_THREAD_BYTES = 64 << 20

export interface LoadedBlocks {
  readonly environment: Pointer
  readonly span: LoadedSpan
  readonly hiddenBytes: number
  /** Buffers that the sessions go on reading. */
  readonly kept: readonly Tensor[]
  /** Absent where another thread hashes. */
  readonly blockDigests?: readonly string[] | undefined
}

export interface LoadResult extends LoadedBlocks {
  readonly blockDigests: readonly string[]
}

/** What the loading thread tells while it works. */
export type LoadReport = BlocksLoaded | { readonly warning: string }

/** What the loading thread is asked. */
export interface LoadCalls {
  load(options: LoadBlocksOptions, report: (report: LoadReport) => void): LoadedBlocks
  /** Gives back what nobody wants any more. */
  release(span: LoadedSpan): void
}

/** What the hashing thread is asked: the blocks' digests. */
export interface DigestCalls {
  digest(options: BlockOptions): string[]
}

/**
 * Reads and converts the span's weights and builds its sessions in one thread, and hashes them in another where there
 * are many: both take seconds and block. Throws what either throws; nothing is left behind.
 */
export async function loadSpan({ onProgress, onWarning, signal, ...options }: LoadOptions): Promise<LoadResult> {
  signal?.throwIfAborted()
  shareHeaps()
  useFastQuantizedExperts()
  const withDigests = bytesOf(options.checkpoint) < MIN_HASHING_THREAD_BYTES
  const loading = new Thread<LoadCalls>(startWorker(import.meta.url, 'load-worker'), threadLost)
  const hashing = withDigests
    ? undefined
    : new Thread<DigestCalls>(startWorker(import.meta.url, 'digest-worker'), threadLost)
  const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const blocks = loading.call(
    'load',
    { ...options, withDigests, stop },
    {
      onReport: (report) => ('warning' in report ? onWarning?.(report.warning) : onProgress?.(report)),
    },
  )
  const blockDigests = hashing?.call('digest', options)
  const onAbort = (): void => {
    // The loading thread stops by itself, after the block that it is at: what it has made is not to be lost with it.
    Atomics.store(new Int32Array(stop), 0, 1)
    hashing?.abandon(signal?.reason as Error)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const [digests, loaded] = await Promise.all([blockDigests, blocks])
    return { ...loaded, blockDigests: digests ?? loaded.blockDigests ?? [] }
  } catch (error) {
    // Sessions belong to the process, not to the thread that has built them.
    await blocks.then(
      ({ span }) => loading.call('release', span),
      () => undefined,
    )
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    try {
      // Before the loading thread ends: with its last user the library would be unloaded, and the environment with it.
      threadRuntime.onnxRuntime()
    } finally {
      await Promise.all([loading.end(), hashing?.end()])
      trimHeap()
    }
  }
}

function bytesOf({ tensors }: Checkpoint): number {
  return tensors.values().reduce((bytes, { byteLength }) => bytes + byteLength, 0)
}

function threadLost(reason: string): PetalsError {
  return new PetalsError('ENGINE_LOAD', `loading failed: ${reason}`)
}
