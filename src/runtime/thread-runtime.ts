// Floor runtime/: native libraries: onnxruntime's C API (library, environment, session, run) and a device's memory.
// Rooms: locate/ (which library files to load), cuda/ (the CUDA runtime, the driver's figures), webgpu/ (adapters,
// turns on the one device of a process, its memory).

import { type CudaRuntime, bindCudaRuntime } from './cuda/cuda-runtime.ts'
import { CPU, type Device } from './device.ts'
import { DeviceTrials } from './device-trials.ts'
import { type OnnxRuntime, bindOnnxRuntime, findRuntime } from './library.ts'
import type { RuntimeLocation } from './locate/locate.ts'
import { type BufferHeap, CudaHeap, type DeviceHeap, HostHeap, type PieceHeap } from './memory.ts'
import { type GpuMemory, type Nvml, bindNvml, gpuMemory, listGpus } from './cuda/nvml.ts'
import { SystemMemory } from './system-memory.ts'
import { CudaUploads, PlainUploads, type Uploads } from './uploads.ts'
import { memoryInfo } from './values.ts'
import { AdapterLooks } from './webgpu/adapter-looks.ts'
import { WEBGPU } from './webgpu/platform.ts'
import { webGpuProcess } from './webgpu/process-state.ts'
import { inTurns, deviceTurns } from './device-turns.ts'
import { WebGpuHeap } from './webgpu/webgpu-heap.ts'

/**
 * The native libraries of one thread, each loaded and bound when it is first used. Handles and addresses are valid in
 * every thread of the process; the bindings themselves are not.
 */
export class ThreadRuntime {
  /** Memory that belongs to no heap. */
  readonly systemMemory = new SystemMemory()
  readonly trials = new DeviceTrials()
  readonly adapterLooks = new AdapterLooks()
  readonly #hostHeap = new HostHeap(this.systemMemory)
  #location: RuntimeLocation | undefined
  #onnxRuntime: OnnxRuntime | undefined
  #cuda: CudaRuntime | undefined
  #nvml: Nvml | undefined
  #buffers: BufferHeap | undefined

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
    this.#cuda ??= this.#bindCuda()
    return this.#cuda
  }

  /**
   * A device's memory. On a CPU, small pieces live until they are freed or this thread ends, others until they are
   * freed. Throws `RUNTIME_LIBRARY` or `RUNTIME_DEVICE_LOST` if CUDA cannot be used.
   */
  heap(device: Device): DeviceHeap {
    if (device.kind === 'webgpu') throw new TypeError('the memory of WebGPU has no addresses: use buffers()')
    return device.kind === 'cpu' ? this.#hostHeap : new CudaHeap(this.cuda(), device.index)
  }

  /** A device's memory, whatever that is like. Throws as `heap`. */
  pieces(device: Device): PieceHeap {
    return device.kind === 'webgpu' ? this.buffers() : this.heap(device)
  }

  /** Writes to a device's memory that need not be waited for, where it can do that. Throws as `heap`. */
  uploads(device: Device): Uploads {
    return device.kind === 'cuda' ? new CudaUploads(this.cuda(), device.index) : new PlainUploads(this.pieces(device))
  }

  /** The memory of the process's WebGPU device, which must have been opened (`openWebGpu`). */
  buffers(): BufferHeap {
    this.#buffers ??= this.#bindBuffers()
    return this.#buffers
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

  /** Each call in a turn: what is recorded on the GPU meanwhile would be spoilt. */
  #bindCuda(): CudaRuntime {
    const cuda = bindCudaRuntime(this.location().provider)
    return { ...cuda, call: (name, ...args) => deviceTurns.take(() => cuda.call(name, ...args)) }
  }

  #bindBuffers(): BufferHeap {
    const { handles } = webGpuProcess
    if (handles === undefined) throw new TypeError('the WebGPU device has not been opened')
    const ort = inTurns(this.onnxRuntime())
    const memories = { device: memoryInfo(ort, WEBGPU), host: memoryInfo(ort, CPU) }
    return new WebGpuHeap(ort, memories, { handles, turns: deviceTurns, process: webGpuProcess })
  }
}

/** The calling thread's native libraries. */
export const threadRuntime = new ThreadRuntime()
