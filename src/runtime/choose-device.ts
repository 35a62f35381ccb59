import { PetalsError, UsageError } from '../base/errors.ts'
import { inspectCuda } from './cuda/cuda-report.ts'
import { CPU, type Device, parseDevice } from './device.ts'
import { threadRuntime } from './thread-runtime.ts'

/**
 * The device that the option `flag` names: `auto`, `cpu`, `cuda` or `cuda:N`. Whether CUDA works is tried once, in a
 * child process. If it does not, `auto` gives the CPU and the other names throw `UsageError` with all reasons.
 * Synchronous; takes seconds on a machine with a GPU.
 */
export function chooseDevice(text: string, flag = '--device'): Device {
  const device = parseDevice(text, () => true, flag)
  if (device.kind === 'cpu') return CPU
  const problems = cudaProblems(device)
  if (problems.length === 0) return device
  if (text.startsWith('auto')) return CPU
  throw new UsageError(`${flag} ${text}: ${problems.join('; ')}`)
}

/** Why CUDA cannot be used on a device: all that is missing, or the error of a trial; empty if it works. */
export function cudaProblems(device: Device): string[] {
  try {
    const { problems, gpus } = inspectCuda()
    if (problems.length > 0) return [...problems]
    if (device.index >= gpus.length)
      return [`there is no GPU ${device.index}: this machine has ${gpus.length}, counted from 0`]
    const problem = threadRuntime.trials.problemOf(device)
    return problem === undefined ? [] : [problem]
  } catch (error) {
    if (error instanceof PetalsError) return [error.message]
    throw error
  }
}
