import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { moduleUrl } from '../../base/module-url.ts'
import { type Adapter, byPreference } from './adapter.ts'
import { hasVulkanLoader } from './vulkan.ts'

const LOOK_TIMEOUT_MS = 20_000

/** The variables by which Vulkan's loader is told which drivers to load: its own name, and the older one. */
export const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const

/** The adapters of a machine, in the order of preference, or why none is known. */
export interface AdapterLook {
  readonly adapters: readonly Adapter[]
  readonly problem?: string | undefined
}

/**
 * Looks which adapters there are, on Linux, each time in a process of its own: a driver may crash. What was found is
 * kept.
 */
export class AdapterLooks {
  readonly #found = new Map<string, AdapterLook>()

  /** Of all drivers, or of those in one driver file only. Synchronous; the first look takes a tenth of a second. */
  look(driverFile = ''): AdapterLook {
    const found = this.#found.get(driverFile) ?? look(driverFile)
    this.#found.set(driverFile, found)
    return found
  }
}

function look(driverFile: string): AdapterLook {
  if (process.platform !== 'linux') return { adapters: [] }
  if (!hasVulkanLoader())
    return {
      adapters: [],
      problem: "there is no Vulkan loader (libvulkan.so.1): install the package libvulkan1, and the GPU's driver",
    }
  const script = fileURLToPath(moduleUrl(import.meta.url, 'adapter-look'))
  const chosen = driverFile === '' ? {} : Object.fromEntries(DRIVER_VARIABLES.map((name) => [name, driverFile]))
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    timeout: LOOK_TIMEOUT_MS,
    env: { ...process.env, ...chosen },
  })
  if (status === 0) return { adapters: byPreference(JSON.parse(stdout.trim().split('\n').at(-1)!) as Adapter[]) }
  const said = error?.message ?? (stdout.trim() || stderr.trim()).split('\n').at(-1)
  return { adapters: [], problem: signal === null ? said : `a Vulkan driver crashed with ${signal}: ${said}`.trim() }
}
