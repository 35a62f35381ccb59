import koffi from 'koffi'

/** A GPU's memory in bytes, as the driver reports it. */
export interface GpuMemory {
  readonly name: string
  readonly totalBytes: number
  readonly freeBytes: number
  readonly driverVersion: string
}

/** The functions of NVML (the driver's libnvidia-ml) that this project calls. Each returns an `nvmlReturn_t`. */
const SIGNATURES = [
  'int nvmlInit_v2()',
  'int nvmlSystemGetDriverVersion(void *, unsigned int)',
  'int nvmlDeviceGetHandleByIndex_v2(unsigned int, void *)',
  'int nvmlDeviceGetHandleByUUID(const char *, void *)',
  'int nvmlDeviceGetName(void *, void *, unsigned int)',
  'int nvmlDeviceGetMemoryInfo(void *, void *)',
]

const TEXT_BYTES = 96

type NvmlArgument = bigint | number | string | ArrayBufferView

/** Calls one of NVML's functions by name; returns 0 on success. */
export type Nvml = (name: string, ...args: NvmlArgument[]) => number

/**
 * The memory of GPU `index` in CUDA's numbering, which `CUDA_VISIBLE_DEVICES` changes; undefined if there is no such
 * GPU. Takes no device memory, unlike asking CUDA.
 */
export function gpuMemory(nvml: Nvml, index: number): GpuMemory | undefined {
  const wanted = visibleDevice(index, process.env.CUDA_VISIBLE_DEVICES)
  const device = new BigUint64Array(1)
  if (wanted === undefined) return undefined
  const found =
    typeof wanted === 'number'
      ? nvml('nvmlDeviceGetHandleByIndex_v2', wanted, device)
      : nvml('nvmlDeviceGetHandleByUUID', wanted, device)
  const memory = new BigUint64Array(3)
  if (found !== 0 || nvml('nvmlDeviceGetMemoryInfo', device[0]!, memory) !== 0) return undefined
  const name = textOf((text) => nvml('nvmlDeviceGetName', device[0]!, text, TEXT_BYTES))
  const driverVersion = textOf((text) => nvml('nvmlSystemGetDriverVersion', text, TEXT_BYTES))
  return { name, totalBytes: Number(memory[0]), freeBytes: Number(memory[1]), driverVersion }
}

/** All GPUs that CUDA would see, in CUDA's order. */
export function listGpus(nvml: Nvml): GpuMemory[] {
  const gpus: GpuMemory[] = []
  for (let gpu = gpuMemory(nvml, 0); gpu !== undefined; gpu = gpuMemory(nvml, gpus.length)) gpus.push(gpu)
  return gpus
}

/** The driver's index or the UUID of CUDA's device `index`, given the text of `CUDA_VISIBLE_DEVICES`. */
export function visibleDevice(index: number, visible: string | undefined): number | string | undefined {
  if (visible === undefined) return index
  const entry = visible.split(',')[index]?.trim()
  if (entry === undefined || entry === '') return undefined
  return /^\d+$/.test(entry) ? Number(entry) : entry.startsWith('GPU-') ? entry : undefined
}

function textOf(fill: (text: Uint8Array) => number): string {
  const text = new Uint8Array(TEXT_BYTES)
  return fill(text) === 0 ? Buffer.from(text).toString('latin1').split('\0')[0]! : 'unknown'
}

/** Loads NVML for the calling thread; undefined if there is no driver. */
export function bindNvml(): Nvml | undefined {
  try {
    const library = koffi.load(process.platform === 'win32' ? 'nvml.dll' : 'libnvidia-ml.so.1')
    const functions = new Map(
      SIGNATURES.map((signature) => [
        /(\w+)\(/.exec(signature)![1]!,
        library.func(signature) as (...args: NvmlArgument[]) => number,
      ]),
    )
    const call: Nvml = (name, ...args) => functions.get(name)!(...args)
    return call('nvmlInit_v2') === 0 ? call : undefined
  } catch {
    return undefined
  }
}
