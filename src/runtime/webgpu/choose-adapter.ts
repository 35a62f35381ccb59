import { globSync } from 'node:fs'
import { UsageError } from '../../base/errors.ts'
import type { Device } from '../device.ts'
import { setNativeEnvironment } from '../library.ts'
import { type AdapterLook, type AdapterLooks, DRIVER_VARIABLES } from './adapter-looks.ts'

/** Where the loader looks for the files that name drivers. */
const DRIVER_FILES = ['/etc', '/usr/local/share', '/usr/share'].map((folder) => `${folder}/vulkan/icd.d/*.json`)

/**
 * Lets the library see the adapter `webgpu:N` only, by the variables of Vulkan's loader: it has no choice of its own,
 * and takes the one that is preferred. To be called before the adapter is opened. Nothing for `webgpu`. Throws
 * `UsageError` where the platform gives no such choice: elsewhere than on Linux, and among adapters of one driver.
 */
export function chooseAdapter(device: Device, looks: AdapterLooks): void {
  if (device.index === 0) return
  const file = driverFileOf(device, looks)
  for (const name of DRIVER_VARIABLES) setNativeEnvironment(name, file)
}

/** The driver file that has this adapter alone. Throws `UsageError`. */
export function driverFileOf(
  device: Device,
  looks: Pick<AdapterLooks, 'look'>,
  files: readonly string[] = globSync(DRIVER_FILES).toSorted(),
): string {
  const refuse = (why: string) => new UsageError(`adapter ${device.index}: ${why}`)
  if (process.platform !== 'linux')
    throw refuse(
      'only on Linux can an adapter be chosen; elsewhere --device webgpu takes the one that the system prefers',
    )
  const { adapters, problem } = looks.look()
  const wanted = adapters[device.index]
  if (wanted === undefined)
    throw refuse(problem ?? `there is none: this machine has ${adapters.length}, counted from 0`)
  const isWanted = ({ adapters: [first, second] }: AdapterLook) => first?.name === wanted.name && second === undefined
  const file = files.find((path) => isWanted(looks.look(path)))
  if (file !== undefined) return file
  throw refuse(
    `${wanted.name} shares its driver with another adapter, and only drivers can be chosen: ` +
      'hide the other one, for example by MESA_VK_DEVICE_SELECT, and say --device webgpu',
  )
}
