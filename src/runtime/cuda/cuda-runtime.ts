import type { LibraryHandle } from 'koffi'
import { checkLibraries, libraryFolders } from './cuda-libraries.ts'
import { RuntimeError, runtimeError } from '../errors.ts'
import { loadForGood, setNativeEnvironment } from '../library.ts'
import { type ProviderFinding, neededByProvider } from '../locate/locate.ts'

/** The part of CUDA's runtime API (libcudart) that this project calls: result `cudaError_t`. No logic here. */
const SIGNATURES = {
  cudaSetDevice: 'int(int)',
  cudaMalloc: 'int(void *, size_t)',
  cudaFree: 'int(void *)',
  /** Target, source, bytes, kind. */
  cudaMemcpy: 'int(void *, void *, size_t, int)',
  /** Target, its pitch, source, its pitch, width and pitches in bytes, rows, kind. */
  cudaMemcpy2D: 'int(void *, size_t, void *, size_t, size_t, size_t, int)',
  cudaDeviceSynchronize: 'int()',
  cudaMemGetInfo: 'int(void *, void *)',
} as const

export type CudaFunction = keyof typeof SIGNATURES

/** cudaMemcpyKind. */
export const HOST_TO_DEVICE = 1
export const DEVICE_TO_HOST = 2
export const DEVICE_TO_DEVICE = 3

type CudaArgument = bigint | number | ArrayBufferView

/** CUDA's runtime, as one thread calls it. */
export interface CudaRuntime {
  /** Held: koffi unloads a library whose handle is collected. */
  readonly libraries: readonly LibraryHandle[]
  /** Throws `RuntimeError`: `RUNTIME_MEMORY`, `RUNTIME_DEVICE_LOST`, `RUNTIME_KERNEL`. */
  call(name: CudaFunction, ...args: CudaArgument[]): void
}

/**
 * Loads what the CUDA provider needs, also from folders in which the loader does not look, and binds the CUDA runtime
 * that it uses. Throws `RUNTIME_LIBRARY`, naming what is missing.
 */
export function bindCudaRuntime(provider: ProviderFinding | undefined): CudaRuntime {
  // Devices are numbered as nvidia-smi and NVML do, not by their speed.
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
  // A library that is loaded already serves whoever needs one of its name, wherever it lies.
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

/** cublas needs cublasLt, which lies beside it: the longer name goes first, as all others are alone. */
function inLoadingOrder(paths: readonly string[]): string[] {
  return paths.toSorted((a, b) => Number(b.includes('libcublasLt')) - Number(a.includes('libcublasLt')))
}
