import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { moduleUrl } from '../base/module-url.ts'
import { type LibraryCheck, checkLibraries, libraryFolders } from './cuda-libraries.ts'
import type { Device } from './device.ts'
import { runtimeLocation } from './library.ts'
import { type ProviderFinding, PROVIDER_PACKAGE, neededByProvider } from './locate.ts'
import { type GpuMemory, listGpus } from './nvml.ts'

/** What a machine has of what CUDA needs, and all that is wrong with it. */
export interface CudaReport {
  readonly provider?: ProviderFinding | undefined
  /** Each library that the provider needs. */
  readonly libraries: readonly LibraryCheck[]
  readonly gpus: readonly GpuMemory[]
  /** Sentences, each with its cure; none where a trial is worth its time. */
  readonly problems: readonly string[]
}

const TRIAL_TIMEOUT_MS = 120_000

/** Looks at files and asks the driver; loads nothing of CUDA. */
export function inspectCuda(): CudaReport {
  const { provider } = runtimeLocation()
  const gpus = listGpus()
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

const trials = new Map<string, string | undefined>()

/**
 * Computes something on a device in a child process, so that a crash there is a message; why it cannot be used, or
 * undefined. Synchronous and slow (a second or more), once per process and device.
 */
export function tryDevice(device: Device): string | undefined {
  const name = device.kind === 'cpu' ? 'cpu' : `cuda:${device.index}`
  if (!trials.has(name)) trials.set(name, runTrial(name))
  return trials.get(name)
}

function runTrial(name: string): string | undefined {
  const script = fileURLToPath(moduleUrl(import.meta.url, 'cuda-trial'))
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [script, name], {
    encoding: 'utf8',
    timeout: TRIAL_TIMEOUT_MS,
  })
  if (status === 0) return undefined
  if (error !== undefined) return `${name}: the trial process failed: ${error.message}`
  const said = (stdout.trim() || stderr.trim()).split('\n').slice(-3).join(' ')
  return `${name}: ${signal === null ? said : `the trial process crashed with ${signal} ${said}`.trim()}`
}
