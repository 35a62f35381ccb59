import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { errorMessage } from '../../base/errors.ts'
import { readSharedObject } from './elf.ts'
import { RuntimeError } from '../errors.ts'

/** The npm package with a CUDA provider of the runtime's version: optional, 180 MB, for Linux on x64. */
export const PROVIDER_PACKAGE = 'com.github.asus4.onnxruntime.linux-x64-gpu'

const RUNTIME = 'libonnxruntime.so.1'
const PROVIDER = 'libonnxruntime_providers_cuda.so'
const BRIDGE = 'libonnxruntime_providers_shared.so'

/** A CUDA provider that was found; `problem` says why it cannot be used. */
export interface ProviderFinding {
  readonly folder: string
  readonly source: 'PETALS_CUDA_LIBS' | 'onnxruntime-node' | 'npm'
  readonly problem?: RuntimeError | undefined
}

/** The files of onnxruntime to load. */
export interface RuntimeLocation {
  /**
   * The runtime's library. A usable CUDA provider, if one was found, is in the same folder, the only one in which the
   * runtime looks for it.
   */
  readonly library: string
  readonly provider?: ProviderFinding | undefined
}

/** Where the runtime and a CUDA provider may be. */
export interface LocateOptions {
  /** The runtime's library in the npm package onnxruntime-node. */
  readonly own: string
  /** A folder with a CUDA provider that the user named (`PETALS_CUDA_LIBS`). */
  readonly given?: string | undefined
  /** The folder of the npm package with the CUDA provider. */
  readonly packaged?: string | undefined
  /** Where folders of symbolic links are made. */
  readonly cacheFolder: string
  /** Whether a provider of another version than the runtime's is accepted. */
  readonly ignoreVersion: boolean
}

/** The options that follow from this process's environment and installed packages. */
export function locateOptions(own: string): LocateOptions {
  const { PETALS_CUDA_LIBS, PETALS_IGNORE_DEPENDENCY_VERSION, XDG_CACHE_HOME } = process.env
  return {
    own,
    given: PETALS_CUDA_LIBS === '' ? undefined : PETALS_CUDA_LIBS,
    packaged: packagedFolder(),
    cacheFolder: join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'petals-node', 'onnxruntime'),
    ignoreVersion: PETALS_IGNORE_DEPENDENCY_VERSION === '1',
  }
}

/**
 * Decides which folder the runtime is loaded from: the user's, its own, or a folder of symbolic links to the runtime
 * and to a provider that lies elsewhere. If the provider cannot be used, that is the runtime's own folder, and
 * `provider.problem` says why. Throws `RUNTIME_LIBRARY` if the user's folder holds no provider.
 */
export function locateRuntime({ own, given, packaged, cacheFolder, ignoreVersion }: LocateOptions): RuntimeLocation {
  if (given !== undefined) {
    if (!existsSync(join(given, PROVIDER))) {
      throw new RuntimeError(
        'RUNTIME_LIBRARY',
        `PETALS_CUDA_LIBS ${given}: there is no ${PROVIDER}; give the folder that holds it and ${BRIDGE}`,
      )
    }
    const library = existsSync(join(given, RUNTIME)) ? join(given, RUNTIME) : own
    return withProvider(library, given, 'PETALS_CUDA_LIBS', cacheFolder, ignoreVersion)
  }
  if (existsSync(join(dirname(own), PROVIDER)))
    return withProvider(own, dirname(own), 'onnxruntime-node', cacheFolder, ignoreVersion)
  if (packaged !== undefined && existsSync(join(packaged, PROVIDER)))
    return withProvider(own, packaged, 'npm', cacheFolder, ignoreVersion)
  return { library: own }
}

function withProvider(
  library: string,
  folder: string,
  source: ProviderFinding['source'],
  cacheFolder: string,
  ignoreVersion: boolean,
): RuntimeLocation {
  try {
    if (!ignoreVersion) checkVersion(library, join(folder, PROVIDER))
    return {
      library: dirname(library) === folder ? library : linked(library, folder, cacheFolder),
      provider: { folder, source },
    }
  } catch (error) {
    const problem =
      error instanceof RuntimeError
        ? error
        : new RuntimeError(
            'RUNTIME_LIBRARY',
            `the CUDA provider in ${folder} cannot be put beside the runtime: ${errorMessage(error)}`,
            { cause: error },
          )
    return { library, provider: { folder, source, problem } }
  }
}

/** A runtime library's version, from the version of its symbols. */
export function runtimeVersion(library: string): string {
  const version = readSharedObject(library)
    .dynamicStrings.map((name) => /^VERS_(\d+\.\d+\.\d+)$/.exec(name)?.[1])
    .find((text) => text !== undefined)
  if (version === undefined) throw new RuntimeError('RUNTIME_LIBRARY', `${library} does not say its version`)
  return version
}

function checkVersion(library: string, provider: string): void {
  const wanted = runtimeVersion(library)
  const found = readSharedObject(provider).versions()
  if (found.includes(wanted)) return
  throw new RuntimeError(
    'RUNTIME_VERSION',
    `the CUDA provider ${provider} is of version ${found.join(' or ') || 'unknown'}, the runtime is ` +
      `${wanted}; install a provider of ${wanted}, or set PETALS_IGNORE_DEPENDENCY_VERSION=1 to try this one`,
  )
}

/**
 * A folder of symbolic links to the runtime and to a provider that lies elsewhere. Its name depends on the files' sizes
 * and times, so a changed file gives a new folder.
 */
function linked(library: string, providerFolder: string, cacheFolder: string): string {
  const files = [library, join(providerFolder, PROVIDER), join(providerFolder, BRIDGE)].map((file) =>
    realpathSync(file),
  )
  const states = files.map((file) => {
    const { size, mtimeMs } = statSync(file)
    return `${file} ${size} ${mtimeMs}`
  })
  const folder = join(
    cacheFolder,
    `${runtimeVersion(library)}-${createHash('sha256').update(states.join('\n')).digest('hex').slice(0, 12)}`,
  )
  if (existsSync(join(folder, RUNTIME))) return join(folder, RUNTIME)
  mkdirSync(cacheFolder, { recursive: true })
  const made = mkdtempSync(join(cacheFolder, '.new-'))
  const names = [RUNTIME, PROVIDER, BRIDGE]
  try {
    for (const [i, file] of files.entries()) symlinkSync(file, join(made, names[i]!))
    renameSync(made, folder)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    // No error if another process has made the same folder meanwhile.
    if (!existsSync(join(folder, RUNTIME))) throw error
  }
  return join(folder, RUNTIME)
}

function packagedFolder(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined
  try {
    return join(
      dirname(createRequire(import.meta.url).resolve(`${PROVIDER_PACKAGE}/package.json`)),
      'Plugins',
      'Linux',
      'x64',
    )
  } catch {
    return undefined
  }
}

/** The libraries that a CUDA provider needs, in an order in which they can be loaded. */
export function neededByProvider(folder: string): readonly string[] {
  return readSharedObject(join(folder, PROVIDER)).needed
}
