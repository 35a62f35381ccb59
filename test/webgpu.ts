import { webGpuProblems } from '../src/runtime/choose-device.ts'
import { createEnvironment, environmentFor, type Environment } from '../src/runtime/environment.ts'
import { openWebGpu } from '../src/runtime/webgpu/open.ts'
import { WEBGPU } from '../src/runtime/webgpu/platform.ts'

// Sizes and ranges are not checked otherwise.
process.env['TEST_WEBGPU_VALIDATION'] = 'basic'

const [problem] = webGpuProblems(WEBGPU)

/** For `skip` of what needs a WebGPU adapter: why there is none, or false. */
export const NO_WEBGPU: string | false = problem === undefined ? false : `no WebGPU adapter: ${problem}`

/** Options of suites that need an adapter. */
export const ON_WEBGPU = { skip: NO_WEBGPU }

/**
 * Options of each of their tests: compiling the device's programs in software takes minutes where they have not been
 * kept, and many times that on a loaded machine.
 */
export const PATIENTLY = { timeout: 1_800_000 }

if (NO_WEBGPU !== false && process.env['TEST_REQUIRES_WEBGPU'] !== undefined)
  throw new Error(`tests of WebGPU may not be skipped here: ${NO_WEBGPU}`)

/** The environment of this process, with its adapter opened. */
export function webGpuEnvironment(): Environment {
  const env = environmentFor(WEBGPU, createEnvironment({ threads: 1, spin: false }))
  openWebGpu(env, WEBGPU)
  return env
}
