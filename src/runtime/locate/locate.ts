import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { errorMessage } from '../../base/errors.ts'
import { readSharedObject } from './elf.ts'
import { RuntimeError } from '../errors.ts'

/** The npm package with a CUDA provider that fits the runtime's version: optional, 180 MB, for Linux on x64. */
export const PROVIDER_PACKAGE = 'com.github.asus4.onnxruntime.linux-x64-gpu'

const RUNTIME = 'libonnxruntime.so.1'
const PROVIDER = 'libonnxruntime_providers_cuda.so'
const BRIDGE = 'libonnxruntime_providers_shared.so'

/** A CUDA provider that was found, or why what was found cannot be used. */
export interface ProviderFinding {
  readonly folder: string
  readonly source: 'PETALS_CUDA_LIBS' | 'onnxruntime-node' | 'npm'
  readonly problem?: RuntimeError | undefined
}

export interface RuntimeLocation {
  /**
   * The runtime's library, in a folder with a usable provider beside it where one was found: it looks for them only
   * there.
   */
  readonly library: string
  readonly provider?: ProviderFinding | undefined
}

export interface LocateOptions {
  /** The runtime's library in onnxruntime-node. */
  readonly own: string
  /** Folder given by the user. */
  readonly given?: string | undefined
  /** Folder of the npm package with the provider. */
  readonly packaged?: string | undefined
  /** Where folders of links are kept. */
  readonly cacheFolder: string
  /** Takes a provider of another version. */
  readonly ignoreVersion: boolean
}

/** From this process's environment and packages. */
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
 * Decides from which folder the runtime is loaded: the user's, its own, or a folder of links that holds it and a
 * provider from elsewhere. A provider that cannot be used leaves the runtime's own folder, with the reason in
 * `provider.problem`. Throws `RUNTIME_LIBRARY` where the user's folder holds no provider.
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

/** The version that a runtime library exports its functions under. */
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
 * The runtime in a folder of links beside a provider from elsewhere; made once, and anew when a file of them changes.
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
    // Another process was first.
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

/** The libraries that a provider needs, in an order in which they can be loaded. */
export function neededByProvider(folder: string): readonly string[] {
  return readSharedObject(join(folder, PROVIDER)).needed
}
