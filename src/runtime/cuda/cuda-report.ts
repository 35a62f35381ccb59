import { type LibraryCheck, checkLibraries, libraryFolders } from './cuda-libraries.ts'
import { type ProviderFinding, PROVIDER_PACKAGE, neededByProvider } from '../locate/locate.ts'
import type { GpuMemory } from './nvml.ts'
import { threadRuntime } from '../thread-runtime.ts'

/** What CUDA needs and this machine has, and every problem found. */
export interface CudaReport {
  readonly provider?: ProviderFinding | undefined
  /** Each library that the CUDA provider needs. */
  readonly libraries: readonly LibraryCheck[]
  readonly gpus: readonly GpuMemory[]
  /** One sentence for each problem, with what to do about it. If empty, a trial is worth its time. */
  readonly problems: readonly string[]
}

/** Inspects files and asks the driver; loads nothing of CUDA. */
export function inspectCuda(): CudaReport {
  const { provider } = threadRuntime.location()
  const gpus = threadRuntime.gpus()
  const noGpu =
    gpus.length > 0
      ? []
      : ['no NVIDIA GPU, or no driver for it, was found: install the driver, and start a container with --gpus all']
  if (provider === undefined) {
    return {
      libraries: [],
      gpus,
      problems: [
        ...noGpu,
        `there is no CUDA provider for onnxruntime: npm install ${PROVIDER_PACKAGE}@0.4.9 (CUDA 13), ` +
          'or set PETALS_CUDA_LIBS to a folder with one',
      ],
    }
  }
  if (provider.problem !== undefined)
    return { provider, libraries: [], gpus, problems: [...noGpu, provider.problem.message] }
  const libraries = checkLibraries(neededByProvider(provider.folder), libraryFolders([provider.folder]))
  const missing = libraries
    .filter(({ path }) => path === undefined)
    .map(({ name, install }) => `${name} is missing: install ${install}`)
  return { provider, libraries, gpus, problems: [...noGpu, ...missing] }
}
