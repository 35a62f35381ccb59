import type { LibraryHandle } from 'koffi'
import { checkLibraries, libraryFolders } from './cuda-libraries.ts'
import { RuntimeError, runtimeError } from '../errors.ts'
import { loadForGood, setNativeEnvironment } from '../library.ts'
import { type ProviderFinding, neededByProvider } from '../locate/locate.ts'

/**
 * The functions of CUDA's runtime API (libcudart) that this project calls. Each returns a `cudaError_t`. No logic here.
 */
const SIGNATURES = {
  cudaSetDevice: 'int(int)',
  cudaMalloc: 'int(void *, size_t)',
  cudaFree: 'int(void *)',
  /** Page-locked memory of this process. Parameters: where its address goes, bytes, flags. */
  cudaHostAlloc: 'int(void *, size_t, unsigned int)',
  cudaFreeHost: 'int(void *)',
  /** Parameters: target, source, bytes, kind. */
  cudaMemcpy: 'int(void *, void *, size_t, int)',
  /** Parameters: target, its pitch, source, its pitch, width, rows, kind; pitches and width in bytes. */
  cudaMemcpy2D: 'int(void *, size_t, void *, size_t, size_t, size_t, int)',
  /** As `cudaMemcpy`, behind what the stream has before it; from page-locked memory the call returns at once. */
  cudaMemcpyAsync: 'int(void *, void *, size_t, int, void *)',
  cudaStreamCreateWithFlags: 'int(void *, unsigned int)',
  cudaStreamDestroy: 'int(void *)',
  cudaEventCreateWithFlags: 'int(void *, unsigned int)',
  /** The event happens when the stream has done what it has now. */
  cudaEventRecord: 'int(void *, void *)',
  cudaEventSynchronize: 'int(void *)',
  cudaEventDestroy: 'int(void *)',
  cudaDeviceSynchronize: 'int()',
  cudaMemGetInfo: 'int(void *, void *)',
} as const

export type CudaFunction = keyof typeof SIGNATURES

/** cudaMemcpyKind. */
export const HOST_TO_DEVICE = 1
export const DEVICE_TO_HOST = 2
export const DEVICE_TO_DEVICE = 3

/**
 * cudaStreamNonBlocking: does not wait for CUDA's default stream. cudaEventDisableTiming: an event that only happens.
 */
export const NON_BLOCKING = 1
export const DISABLE_TIMING = 2

type CudaArgument = bigint | number | ArrayBufferView

/** CUDA's runtime API, bound for one thread. */
export interface CudaRuntime {
  /** Kept, because koffi unloads a library whose handle is garbage-collected. */
  readonly libraries: readonly LibraryHandle[]
  /**
   * Calls a function. Throws `RuntimeError` (`RUNTIME_MEMORY`, `RUNTIME_DEVICE_LOST` or `RUNTIME_KERNEL`) unless it
   * succeeds.
   */
  call(name: CudaFunction, ...args: CudaArgument[]): void
}

/**
 * Loads the libraries that the CUDA provider needs, also from folders in which the system's loader does not look, and
 * binds CUDA's runtime. Throws `RUNTIME_LIBRARY`, naming what is missing.
 */
export function bindCudaRuntime(provider: ProviderFinding | undefined): CudaRuntime {
  // Makes CUDA number devices as nvidia-smi and NVML do, instead of by speed.
  setNativeEnvironment('CUDA_DEVICE_ORDER', 'PCI_BUS_ID')
  if (provider === undefined)
    throw new RuntimeError('RUNTIME_LIBRARY', 'there is no CUDA provider for onnxruntime on this machine')
  if (provider.problem !== undefined) throw provider.problem
  const checks = checkLibraries(neededByProvider(provider.folder), libraryFolders([provider.folder]))
  const missing = checks.filter(({ path }) => path === undefined)
  if (missing.length > 0)
    throw new RuntimeError(
      'RUNTIME_LIBRARY',
      missing.map(({ name, install }) => `${name} is missing: install ${install}`).join('; '),
    )
  const runtime = checks.find(({ name }) => name.startsWith('libcudart.so'))
  if (runtime === undefined)
    throw new RuntimeError('RUNTIME_LIBRARY', `the CUDA provider in ${provider.folder} does not use libcudart`)
  // A library that is loaded already is used for every later request of the same name, wherever it lies.
  const before = inLoadingOrder(checks.filter(({ onLoaderPath }) => !onLoaderPath).map(({ path }) => path!)).map(
    (path) => loadForGood(path),
  )
  const library = loadForGood(runtime.onLoaderPath ? runtime.name : runtime.path!)
  const functions = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, prototype]) => {
      const [result, parameters] = prototype.split('(') as [string, string]
      return [name, library.func(`${result} ${name}(${parameters}`)]
    }),
  ) as unknown as Record<CudaFunction, (...args: CudaArgument[]) => number>
  const nameOf = library.func('const char *cudaGetErrorString(int)') as (code: number) => string
  return {
    libraries: [...before, library],
    call(name, ...args) {
      const code = functions[name](...args)
      if (code !== 0) throw runtimeError(name, `CUDA failure ${code}: ${nameOf(code)}`)
    },
  }
}

/**
 * The paths with the longer names first: cublas needs cublasLt, which lies beside it. The others need none of these.
 */
function inLoadingOrder(paths: readonly string[]): string[] {
  return paths.toSorted((a, b) => Number(b.includes('libcublasLt')) - Number(a.includes('libcublasLt')))
}
