import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { moduleUrl } from '../base/module-url.ts'
import { type Device, deviceText } from './device.ts'

const TRIAL_TIMEOUT_MS = 120_000

/**
 * Finds out whether devices compute. Each device is tried once, in a child process, whose crash becomes an error
 * message.
 */
export class DeviceTrials {
  readonly #problems = new Map<string, string | undefined>()

  /**
   * Why a device cannot be used; undefined if it works. Synchronous; the first call for a device takes a second or
   * more.
   */
  problemOf(device: Device): string | undefined {
    const name = deviceText(device)
    if (!this.#problems.has(name)) this.#problems.set(name, tryOnce(name))
    return this.#problems.get(name)
  }
}

function tryOnce(name: string): string | undefined {
  const script = fileURLToPath(moduleUrl(import.meta.url, 'device-trial'))
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [script, name], {
    encoding: 'utf8',
    timeout: TRIAL_TIMEOUT_MS,
  })
  if (status === 0) return undefined
  if (error !== undefined) return `${name}: the trial process failed: ${error.message}`
  const said = (stdout.trim() || stderr.trim()).split('\n').slice(-3).join(' ')
  return `${name}: ${signal === null ? said : `the trial process crashed with ${signal} ${said}`.trim()}`
}
