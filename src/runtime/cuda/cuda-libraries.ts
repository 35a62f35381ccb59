import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'

/** A library that the CUDA provider needs: where it is or, if it is missing, what to install. */
export interface LibraryCheck {
  readonly name: string
  readonly path?: string | undefined
  /** Whether the system's loader finds the library itself. If not, it is loaded from `path` first. */
  readonly onLoaderPath: boolean
  /** What to install if it is missing, e.g. "apt package libcublas-13-0 or pip package nvidia-cublas". */
  readonly install: string
}

/** Where the system's loader looks, and where else CUDA's libraries are often installed. */
export interface LibraryFolders {
  readonly loader: readonly string[]
  /** Path of each library in the loader's cache, by name, as `ldconfig -p` lists them. */
  readonly cached: ReadonlyMap<string, string>
  readonly usual: readonly string[]
}

/**
 * The apt and pip packages of each library, by the library's name without version; `%` stands for the version of CUDA.
 */
const PACKAGES: Readonly<Record<string, readonly [apt: string, pip: string]>> = {
  libcudart: ['cuda-cudart', 'nvidia-cuda-runtime'],
  libcublas: ['libcublas', 'nvidia-cublas'],
  libcublasLt: ['libcublas', 'nvidia-cublas'],
  libcurand: ['libcurand', 'nvidia-curand'],
  libcufft: ['libcufft', 'nvidia-cufft'],
  libnvrtc: ['cuda-nvrtc', 'nvidia-cuda-nvrtc'],
}

const USUAL_FOLDERS = [
  '/usr/local/cuda/lib64',
  '/usr/local/cuda-*/lib64',
  '/usr/local/cuda-*/targets/*-linux/lib',
  '/opt/cuda/lib64',
  '/usr/local/nvidia/lib64',
  '/usr/lib/wsl/lib',
  '/usr/local/lib/python3*/*-packages/nvidia/*/lib',
  '/usr/lib/python3*/*-packages/nvidia/*/lib',
]

/** The folders of this machine; those in `extra` come before the usual ones. */
export function libraryFolders(extra: readonly string[] = []): LibraryFolders {
  const { LD_LIBRARY_PATH = '', VIRTUAL_ENV, CONDA_PREFIX } = process.env
  const python = [VIRTUAL_ENV, CONDA_PREFIX].flatMap((home) =>
    home === undefined ? [] : [join(home, 'lib'), join(home, 'lib/python3*/site-packages/nvidia/*/lib')],
  )
  return {
    loader: [
      ...LD_LIBRARY_PATH.split(':').filter((folder) => folder !== ''),
      ...['', '/usr'].flatMap((root) => [`${root}/lib64`, `${root}/lib`]),
    ],
    cached: parseLoaderCache(spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? ''),
    usual: [...extra, ...globSync([...python, ...USUAL_FOLDERS])],
  }
}

/**
 * Parses the output of `ldconfig -p`: library name -> path. If a name is listed for several architectures, the first
 * one counts, which is this machine's own.
 */
export function parseLoaderCache(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const [, name, path] of text.matchAll(/^\s+(\S+) \(.*\) => (\S+)$/gm))
    if (!found.has(name!)) found.set(name!, path!)
  return found
}

/** Looks for each library, in the order in which the loader would. */
export function checkLibraries(names: readonly string[], folders: LibraryFolders): LibraryCheck[] {
  const cudaMajor = names.map((name) => /^libcudart\.so\.(\d+)/.exec(name)?.[1]).find((major) => major !== undefined)
  return names.map((name) => {
    const inFolders = (list: readonly string[]) =>
      list.map((folder) => join(folder, name)).find((path) => existsSync(path))
    const loaded = inFolders(folders.loader) ?? folders.cached.get(name)
    return {
      name,
      path: loaded ?? inFolders(folders.usual),
      onLoaderPath: loaded !== undefined,
      install: packageOf(name, cudaMajor),
    }
  })
}

/** What to install for a missing library; `cudaMajor` is CUDA's major version (12 and 13 are known). */
export function packageOf(name: string, cudaMajor: string | undefined): string {
  const base = name.split('.so')[0]!
  if (base === 'libcuda' || base === 'libnvidia-ml') {
    return 'the NVIDIA driver (in a container: start it with --gpus all)'
  }
  if (base === 'libcudnn')
    return `apt package libcudnn9-cuda-${cudaMajor ?? 12} or pip package nvidia-cudnn-cu${cudaMajor ?? 12}`
  const known = PACKAGES[base]
  if (known === undefined) return 'a package of the system, such as libc6, libgcc-s1 or libstdc++6'
  const apt = cudaMajor === '12' ? `${known[0]}-12-8` : `${known[0]}-${cudaMajor ?? 13}-0`
  const pip = cudaMajor === '12' ? `${known[1]}-cu12` : known[1]
  return (
    `apt package ${apt} (or cuda-libraries-${cudaMajor === '12' ? '12-8' : `${cudaMajor ?? 13}-0`}, which has ` +
    `all of CUDA's) or pip package ${pip}`
  )
}
