import { sizeText } from '../../../../base/size.ts'
import { parseDevice } from '../../../../runtime/device.ts'
import { threadRuntime } from '../../../../runtime/thread-runtime.ts'
import { type Adapter, isGpu } from '../../../../runtime/webgpu/adapter.ts'
import { webGpuAvailable, webGpuBackend } from '../../../../runtime/webgpu/platform.ts'
import { type Finding, note, ok, problem } from '../finding.ts'

/** What each kind of adapter is, in words. */
const KINDS: Record<Adapter['kind'], string> = {
  discrete: 'a GPU with memory of its own',
  integrated: 'a GPU that shares the memory',
  virtual: 'a virtual GPU',
  software: 'software: it computes on the CPU, slower than --device cpu, and is for tests',
  other: 'of an unknown kind',
}

/**
 * Checks what WebGPU needs: adapters, and whether one computes, in a child process. `device` is the value of --device:
 * what is missing is a problem only if WebGPU was asked for, else a note.
 */
export function checkWebGpu(device: string): Finding[] {
  const isWanted = device.startsWith('webgpu')
  const missing = isWanted ? problem : note
  const unavailable = webGpuAvailable()
  if (unavailable !== undefined) return [missing('WebGPU', unavailable)]
  const { adapters, problem: why } = threadRuntime.adapterLooks.look()
  const findings = adapters.map((adapter, index) => ok('GPU', `webgpu:${index}: ${describe(adapter)}`))
  if (why !== undefined) return [...findings, missing('WebGPU', why)]
  // A trial of software takes a while, and tells nothing that anybody wants to know who has not asked for it.
  if (!isWanted && !adapters.some(isGpu) && adapters.length > 0) return findings
  const failure = threadRuntime.trials.problemOf(parseDevice(isWanted ? device : 'webgpu', () => true))
  const name = isWanted ? device : 'webgpu'
  return [
    ...findings,
    failure === undefined ? ok('WebGPU', `${name} computes, by ${webGpuBackend()}`) : missing('WebGPU', failure),
  ]
}

function describe({ name, kind, driverVersion, freeBytes, totalBytes }: Adapter): string {
  return `${name}, ${KINDS[kind]}; ${sizeText(freeBytes)} free of ${sizeText(totalBytes)}, driver ${driverVersion}`
}
