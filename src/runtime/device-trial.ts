import { errorMessage } from '../base/errors.ts'
import { BoundRun } from './bound-run.ts'
import { type Device, parseDevice } from './device.ts'
import { DOUBLE_MODEL } from './double-model.ts'
import { createEnvironment, environmentFor } from './environment.ts'
import { createResidentSession } from './session.ts'
import { TensorScope } from './tensor-scope.ts'
import { threadRuntime } from './thread-runtime.ts'
import { memoryInfo } from './values.ts'
import { openWebGpu } from './webgpu/open.ts'

/** Computes something on the device, using its memory, its copies and one kernel. Throws whatever fails. */
function trial(device: Device): void {
  const env = environmentFor(device, createEnvironment({ threads: 1, spin: false }))
  const { ort } = env
  if (device.kind === 'webgpu') openWebGpu(env, device)
  const heap = threadRuntime.pieces(device)
  const bytes = 4 * Float32Array.BYTES_PER_ELEMENT
  const [x, y] = [heap.allocate(bytes), heap.allocate(bytes)]
  heap.write(x, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer))
  const session = createResidentSession(env, device, DOUBLE_MODEL, [], { cudaGraphs: false, workspaceBytes: 2 ** 26 })
  const memory = memoryInfo(ort, device)
  const scope = new TensorScope(ort)
  const wrap = (address: bigint) => scope.wrap(memory, 'float32', [4], address)
  using run = new BoundRun(ort, session, scope, [['x', wrap(x)]], [['y', wrap(y)]])
  run.run()
  const result = new Float32Array(4)
  heap.read(y, new Uint8Array(result.buffer))
  if (result.join() !== '2,4,6,8') throw new Error(`1, 2, 3, 4 doubled came out as ${result.join(', ')}`)
}

/**
 * This module is run as a process, `node device-trial.ts cuda:0`, so that the crash of a driver or library becomes an
 * error message.
 */
try {
  trial(parseDevice(process.argv[2] ?? 'cpu', () => true))
} catch (error) {
  console.log(errorMessage(error))
  process.exitCode = 1
}
