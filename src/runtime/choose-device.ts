import { PetalsError, UsageError } from '../base/errors.ts'
import { inspectCuda } from './cuda/cuda-report.ts'
import { CPU, type Device, parseDevice } from './device.ts'
import { threadRuntime } from './thread-runtime.ts'
import { isGpu } from './webgpu/adapter.ts'
import { driverFileOf } from './webgpu/choose-adapter.ts'
import { webGpuAvailable } from './webgpu/platform.ts'

/**
 * The device that the option `flag` names: `auto`, `cpu`, `cuda`, `cuda:N`, `webgpu` or `webgpu:N`. Whether a GPU works
 * is tried once, in a child process. If CUDA does not, `auto` gives the CPU and the other names throw `UsageError` with
 * all reasons. Synchronous; takes seconds on a machine with a GPU.
 */
export function chooseDevice(text: string, flag = '--device'): Device {
  const device = parseDevice(text, () => true, flag)
  if (device.kind === 'cpu') return CPU
  const problems = deviceProblems(device)
  if (problems.length === 0) return device
  if (text.startsWith('auto')) return CPU
  throw new UsageError(`${flag} ${text}: ${problems.join('; ')}`)
}

/** Why a device cannot be used: all that is missing, or the error of a trial; empty if it works. */
function deviceProblems(device: Device): string[] {
  if (device.kind === 'cuda') return cudaProblems(device)
  return device.kind === 'webgpu' ? webGpuProblems(device) : []
}

/** `deviceProblems` of CUDA. */
export function cudaProblems(device: Device): string[] {
  try {
    const { problems, gpus } = inspectCuda()
    if (problems.length > 0) return [...problems]
    if (device.index >= gpus.length)
      return [`there is no GPU ${device.index}: this machine has ${gpus.length}, counted from 0`]
    return listed(threadRuntime.trials.problemOf(device))
  } catch (error) {
    if (error instanceof PetalsError) return [error.message]
    throw error
  }
}

/** `deviceProblems` of WebGPU. */
export function webGpuProblems(device: Device): string[] {
  const missing = webGpuAvailable() ?? threadRuntime.adapterLooks.look().problem
  if (missing !== undefined) return [missing]
  try {
    if (device.index > 0) driverFileOf(device, threadRuntime.adapterLooks)
  } catch (error) {
    if (error instanceof UsageError) return [error.message]
    throw error
  }
  return listed(threadRuntime.trials.problemOf(device))
}

/**
 * What to say where the CPU was taken for want of CUDA: that there is a GPU which WebGPU can compute on. It is not
 * taken unasked. Undefined where there is none. Takes a tenth of a second.
 */
export function webGpuHint(text: string, device: Device): string | undefined {
  if (!text.startsWith('auto') || device.kind !== 'cpu' || webGpuAvailable() !== undefined) return undefined
  const gpu = threadRuntime.adapterLooks.look().adapters.find(isGpu)
  return gpu && `this machine has a GPU (${gpu.name}): --device webgpu computes on it`
}

/** Bytes that are free on a device for whoever computes there; undefined on a CPU, and where nobody says. */
export function freeDeviceBytes(device: Device): number | undefined {
  if (device.kind === 'cuda') return threadRuntime.gpuMemory(device.index)?.freeBytes
  if (device.kind === 'cpu') return undefined
  const adapter = threadRuntime.adapterLooks.look().adapters[device.index]
  // Software, and what has no memory of its own, shares it with all others.
  const isShared = adapter === undefined || adapter.kind === 'software' || adapter.kind === 'integrated'
  return Math.min(adapter?.freeBytes ?? Infinity, isShared ? process.availableMemory() : Infinity)
}

function listed(problem: string | undefined): string[] {
  return problem === undefined ? [] : [problem]
}
