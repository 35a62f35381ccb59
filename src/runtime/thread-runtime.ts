// Floor runtime/: native libraries: onnxruntime's C API (library, environment, session, run) and a device's memory.
// Rooms: locate/ (which library files to load), cuda/ (the CUDA runtime, the driver's figures, whether a GPU computes).

import { type CudaRuntime, bindCudaRuntime } from './cuda/cuda-runtime.ts'
import type { Device } from './device.ts'
import { DeviceTrials } from './cuda/device-trials.ts'
import { type OnnxRuntime, bindOnnxRuntime, findRuntime } from './library.ts'
import type { RuntimeLocation } from './locate/locate.ts'
import { CudaHeap, type DeviceHeap, HostHeap } from './memory.ts'
import { type GpuMemory, type Nvml, bindNvml, gpuMemory, listGpus } from './cuda/nvml.ts'
import { SystemMemory } from './system-memory.ts'

/**
 * The native libraries of one thread, each loaded and bound when it is first used. Handles and addresses are valid in
 * every thread of the process; the bindings themselves are not.
 */
export class ThreadRuntime {
  /** Memory that belongs to no heap. */
  readonly systemMemory = new SystemMemory()
  readonly trials = new DeviceTrials()
  readonly #hostHeap = new HostHeap()
  #location: RuntimeLocation | undefined
  #onnxRuntime: OnnxRuntime | undefined
  #cuda: CudaRuntime | undefined
  #nvml: Nvml | undefined

  /**
   * Where onnxruntime's library and a CUDA provider are; the same in all threads of a process. Throws
   * `RUNTIME_PLATFORM` or `RUNTIME_LIBRARY`.
   */
  location(): RuntimeLocation {
    this.#location ??= findRuntime()
    return this.#location
  }

  /** onnxruntime's C API. Throws as `location`, and `RUNTIME_LIBRARY` if the library cannot be loaded. */
  onnxRuntime(): OnnxRuntime {
    this.#onnxRuntime ??= bindOnnxRuntime(this.location().library)
    return this.#onnxRuntime
  }

  /**
   * CUDA's runtime API, with all libraries that the CUDA provider needs loaded: call it before the first CUDA session.
   * Throws `RUNTIME_LIBRARY`, naming what is missing.
   */
  cuda(): CudaRuntime {
    this.#cuda ??= bindCudaRuntime(this.location().provider)
    return this.#cuda
  }

  /**
   * A device's memory. On a CPU, allocations live until they are freed or this thread ends. Throws `RUNTIME_LIBRARY` or
   * `RUNTIME_DEVICE_LOST` if CUDA cannot be used.
   */
  heap(device: Device): DeviceHeap {
    return device.kind === 'cpu' ? this.#hostHeap : new CudaHeap(this.cuda(), device.index)
  }

  /** The memory of GPU `index` in CUDA's numbering; undefined if there is no such GPU or no driver. */
  gpuMemory(index: number): GpuMemory | undefined {
    this.#nvml ??= bindNvml()
    return this.#nvml && gpuMemory(this.#nvml, index)
  }

  /** All GPUs that CUDA would see, in CUDA's order. */
  gpus(): GpuMemory[] {
    this.#nvml ??= bindNvml()
    return this.#nvml === undefined ? [] : listGpus(this.#nvml)
  }
}

/** The calling thread's native libraries. */
export const threadRuntime = new ThreadRuntime()
