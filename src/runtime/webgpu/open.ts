import { DOUBLE_MODEL } from '../double-model.ts'
import type { Environment } from '../environment.ts'
import { createResidentSession } from '../session.ts'
import { memoryInfo } from '../values.ts'
import { threadRuntime } from '../thread-runtime.ts'
import type { Device } from '../device.ts'
import { chooseAdapter } from './choose-adapter.ts'
import { webGpuProcess } from './process-state.ts'
import { WEBGPU, webGpuAvailable } from './platform.ts'
import { deviceTurns } from '../device-turns.ts'
import { RuntimeError } from '../errors.ts'

/**
 * Opens a WebGPU adapter for the process, where that has not been done yet: any thread may allocate and run from then
 * on. It stays open until the process ends. Throws `RUNTIME_LIBRARY` where the library has no WebGPU, and where the
 * process has opened another adapter; `RuntimeError` where there is none that the library accepts.
 */
export function openWebGpu(environment: Environment, device: Device): void {
  deviceTurns.take(() => {
    const opened = webGpuProcess.handles?.index ?? device.index
    const problem =
      webGpuAvailable() ??
      (opened === device.index ? undefined : `this process computes on adapter ${opened}, and can have one only`)
    if (problem !== undefined) throw new RuntimeError('RUNTIME_LIBRARY', problem)
    if (webGpuProcess.handles !== undefined) return
    chooseAdapter(device, threadRuntime.adapterLooks)
    const { ort, pointer } = environment
    const root = createResidentSession(environment, WEBGPU, DOUBLE_MODEL, [], { cudaGraphs: false, workspaceBytes: 0 })
    const memory = memoryInfo(ort, WEBGPU)
    try {
      const allocator = ort.create('CreateAllocator', root, memory)
      webGpuProcess.open({ environment: pointer, root, allocator, index: device.index })
    } catch (error) {
      ort.release('ReleaseSession', root)
      throw error
    } finally {
      ort.release('ReleaseMemoryInfo', memory)
    }
  })
}
