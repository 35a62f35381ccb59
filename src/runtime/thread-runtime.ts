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
 * What one thread has loaded and bound of native libraries, each when it is first asked for. Handles and addresses that
 * it gives are valid in every thread of the process; the bindings themselves are not.
 */
export class ThreadRuntime {
  /** Memory outside of every heap. */
  readonly systemMemory = new SystemMemory()
  readonly trials = new DeviceTrials()
  readonly #hostHeap = new HostHeap()
  #location: RuntimeLocation | undefined
  #onnxRuntime: OnnxRuntime | undefined
  #cuda: CudaRuntime | undefined
  #nvml: Nvml | undefined

  /**
   * Where onnxruntime's shared library is, and a CUDA provider for it: the same for all threads of a process, whatever
   * a thread is for. Throws `RUNTIME_PLATFORM` and `RUNTIME_LIBRARY`.
   */
  location(): RuntimeLocation {
    this.#location ??= findRuntime()
    return this.#location
  }

  /** onnxruntime itself. Throws as `location`, and `RUNTIME_LIBRARY` where it cannot be loaded. */
  onnxRuntime(): OnnxRuntime {
    this.#onnxRuntime ??= bindOnnxRuntime(this.location().library)
    return this.#onnxRuntime
  }

  /**
   * CUDA's runtime, with all that the CUDA provider needs: to be called before the first CUDA session. Throws
   * `RUNTIME_LIBRARY`, naming what is missing.
   */
  cuda(): CudaRuntime {
    this.#cuda ??= bindCudaRuntime(this.location().provider)
    return this.#cuda
  }

  /**
   * The memory in which a device computes. What is allocated on a CPU lives until it is freed, or this thread ends.
   * Throws `RUNTIME_LIBRARY` and `RUNTIME_DEVICE_LOST` where CUDA cannot be used.
   */
  heap(device: Device): DeviceHeap {
    return device.kind === 'cpu' ? this.#hostHeap : new CudaHeap(this.cuda(), device.index)
  }

  /** Memory of GPU `index`, as CUDA counts them; undefined where there is no such GPU or no driver. */
  gpuMemory(index: number): GpuMemory | undefined {
    this.#nvml ??= bindNvml()
    return this.#nvml && gpuMemory(this.#nvml, index)
  }

  /** All GPUs that CUDA would see, in its order. */
  gpus(): GpuMemory[] {
    this.#nvml ??= bindNvml()
    return this.#nvml === undefined ? [] : listGpus(this.#nvml)
  }
}

/** This thread's own. */
export const threadRuntime = new ThreadRuntime()
