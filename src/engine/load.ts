import { Worker } from 'node:worker_threads'
import { PetalsError } from '../base/errors.ts'
import { workerUrl } from '../base/worker-url.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { Device } from '../runtime/device.ts'
import type { ThreadOptions } from '../runtime/environment.ts'
import { type Pointer, loadOnnxRuntime } from '../runtime/library.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { LoadedSpan } from './runner.ts'

export interface LoadOptions extends ThreadOptions {
  readonly checkpoint: Checkpoint
  readonly start: number
  readonly end: number
  readonly device: Device
  readonly dtype: FloatDType
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
}

export interface LoadProgress {
  readonly blocksLoaded: number
  readonly numBlocks: number
}

export interface LoadResult {
  readonly environment: Pointer
  readonly span: Omit<LoadedSpan, 'caches'>
  readonly blockDigests: readonly string[]
  readonly hiddenBytes: number
  /** Buffers that the sessions go on reading. */
  readonly kept: readonly Tensor[]
}

export type LoadMessage =
  | { readonly type: 'progress', readonly progress: LoadProgress }
  | { readonly type: 'loaded', readonly result: LoadResult }
  | { readonly type: 'failed', readonly code: string, readonly message: string }

/** Reads, hashes and converts the span's weights and builds its sessions, in a worker: this takes seconds and blocks. */
export async function loadSpan({ onProgress, ...workerData }: LoadOptions): Promise<LoadResult> {
  // The loading thread creates the environment and ends: without another user the library would be unloaded with it.
  loadOnnxRuntime()
  const { promise, resolve, reject } = Promise.withResolvers<LoadResult>()
  const worker = new Worker(workerUrl(import.meta.url, 'load-worker'), { workerData, execArgv: [] })
  worker.on('message', (message: LoadMessage) => {
    if (message.type === 'progress') onProgress?.(message.progress)
    else if (message.type === 'loaded') resolve(message.result)
    else reject(new PetalsError(message.code, message.message))
  })
  worker.on('error', reject)
  worker.on('exit', (code) => reject(new PetalsError('ENGINE_LOAD', `the loading thread ended with code ${code}`)))
  try {
    return await promise
  } finally {
    await worker.terminate()
  }
}
