import { PetalsError } from '../../src/base/errors.ts'
import type { Checkpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { EngineSession } from '../../src/engine/session/engine-session.ts'
import type { RunReport } from '../../src/engine/thread/messages.ts'
import { DEVICE_TO_DEVICE } from '../../src/runtime/cuda/cuda-runtime.ts'
import type { Device } from '../../src/runtime/device.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { type Tensor, fromFloat32 } from '../../src/tensor/tensor.ts'
import { median } from '../statistics.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { createEnvironment, environmentFor } from '../../src/runtime/environment.ts'
import { openWebGpu } from '../../src/runtime/webgpu/open.ts'
import { webGpuProcess } from '../../src/runtime/webgpu/process-state.ts'

/** Medians, in milliseconds: `device` is what a run takes in the engine thread, copies in and out included. */
export interface StepTimes {
  readonly deviceMs: number
  /** From the call of `step` to its result, for one row alone. */
  readonly wallMs: number | undefined
}

export interface SpeedResult {
  readonly dtype: FloatDType
  readonly loadSeconds: number
  /**
   * What loading took of the device's memory, and what sessions and runs then took; undefined without a driver to ask.
   */
  readonly loadedBytes: number | undefined
  readonly workBytes: number | undefined
  /** Growth of this process's resident memory from before loading until after the last run. */
  readonly hostBytes: number
  readonly prefill: StepTimes
  /** By rows of a batch. */
  readonly decode: ReadonlyMap<number, StepTimes>
  /** Of each session. */
  readonly maxLength: number
  /** What buffers took at the end of the last batch, on a device that counts them. */
  readonly mostBytes: number | undefined
}

export interface SpeedOptions {
  readonly device: Device
  readonly dtype: FloatDType
  readonly batches: readonly number[]
  readonly cachedTokens: number
  readonly steps: number
}

const WARM_UP_STEPS = 5

/** Decode and prefill times of all blocks of a checkpoint, through an engine of its own. */
export async function measureSpeed(
  checkpoint: Checkpoint,
  { device, dtype, batches, cachedTokens, steps }: SpeedOptions,
): Promise<SpeedResult> {
  const { numBlocks, hiddenSize } = checkpoint.config
  const free = () => freeBytes(device)
  const maxLength = cachedTokens + WARM_UP_STEPS + steps
  let mostBytes: number | undefined
  const rowTokens = 2 ** Math.ceil(Math.log2(Math.max(128, maxLength)))
  const freeBefore = free(),
    rssBefore = process.memoryUsage.rss(),
    began = performance.now()
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device,
    dtype,
    threads: 2,
    spin: false,
    cacheTokens: rowTokens * (Math.max(...batches) + 1),
    prefillChunkTokens: cachedTokens,
  })
  try {
    const loadSeconds = (performance.now() - began) / 1000
    const freeLoaded = free()
    const decode = new Map<number, StepTimes>()
    let prefill: StepTimes | undefined
    for (const rows of batches) {
      const run = await measureBatch(engine, {
        rows,
        cachedTokens,
        steps,
        maxLength,
        hidden: (tokens) => hiddenStates(tokens, hiddenSize, dtype),
      })
      prefill ??= run.prefill
      mostBytes = run.heldBytes
      decode.set(rows, run.decode)
    }
    return {
      dtype,
      loadSeconds,
      loadedBytes: difference(freeBefore, freeLoaded),
      workBytes: difference(freeLoaded, free()),
      hostBytes: process.memoryUsage.rss() - rssBefore,
      prefill: prefill!,
      decode,
      maxLength,
      mostBytes,
    }
  } finally {
    await engine.close()
  }
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a - b
}

interface BatchOptions {
  readonly rows: number
  readonly cachedTokens: number
  readonly steps: number
  readonly maxLength: number
  readonly hidden: (tokens: number) => Tensor
}

interface BatchTimes {
  readonly prefill: StepTimes
  readonly decode: StepTimes
  readonly heldBytes: number | undefined
}

/** What is free on a device; of WebGPU's only differences mean something. */
function freeBytes({ kind, index }: Device): number | undefined {
  if (kind === 'webgpu') return -webGpuProcess.allocatedBytes
  return kind === 'cuda' ? threadRuntime.gpuMemory(index)?.freeBytes : undefined
}

/** A prefill of each row, twice, since the first run of a shape prepares it; then decode steps of all rows at once. */
async function measureBatch(engine: Engine, options: BatchOptions): Promise<BatchTimes> {
  const { rows, maxLength } = options
  const span = { start: engine.start, end: engine.end, maxLength, timeoutMs: 0 }
  const sessions = await Promise.all(Array.from({ length: rows }, () => engine.openSession(span)))
  const other = await engine.openSession(span)
  const reports: RunReport[] = []
  const collect = (report: RunReport): void => {
    reports.push(report)
  }
  engine.on('run', collect)
  try {
    const prefill = await measurePrefill(sessions, reports, options)
    const decode = await measureDecode(sessions, other, reports, options)
    return { prefill, decode, heldBytes: webGpuProcess.handles && webGpuProcess.allocatedBytes }
  } finally {
    engine.off('run', collect)
    for (const session of [...sessions, other]) session.release()
  }
}

async function measurePrefill(
  sessions: readonly EngineSession[],
  reports: readonly RunReport[],
  { cachedTokens, hidden }: BatchOptions,
): Promise<StepTimes> {
  const walls: number[] = []
  for (const session of sessions) {
    for (let again = 0; again < 2; again++) {
      session.truncate(0)
      const input = hidden(cachedTokens)
      walls.push(await timed(() => session.step(input)))
    }
  }
  return { deviceMs: medianMs(reports.slice(1)), wallMs: median(walls.slice(1)) }
}

/**
 * Steps of several rows are given in while a prefill of `other` keeps the engine busy, so that they are one run: one
 * alone is begun as soon as it comes. Runs that were none all the same are left out.
 */
async function measureDecode(
  sessions: readonly EngineSession[],
  other: EngineSession,
  reports: readonly RunReport[],
  { steps, cachedTokens, hidden }: BatchOptions,
): Promise<StepTimes> {
  const rows = sessions.length
  const walls: number[] = []
  for (let step = 0; step < WARM_UP_STEPS + steps; step++) {
    other.truncate(0)
    const inputs = sessions.map(() => hidden(1))
    const before = rows === 1 ? undefined : other.step(hidden(cachedTokens))
    walls.push(await timed(() => Promise.all(sessions.map((session, i) => session.step(inputs[i]!)))))
    await before
  }
  const whole = reports.filter((report) => report.kind === 'decode' && report.rows === rows)
  if (whole.length === 0) throw new PetalsError('GPU_CHECK', `no run carried all ${rows} rows`)
  return {
    deviceMs: medianMs(whole.slice(-steps)),
    wallMs: rows === 1 ? median(walls.slice(WARM_UP_STEPS)) : undefined,
  }
}

function medianMs(reports: readonly RunReport[]): number {
  return median(reports.map(({ seconds }) => seconds * 1000))
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function hiddenStates(tokens: number, width: number, dtype: FloatDType): Tensor {
  const values = Float32Array.from({ length: tokens * width }, (_, i) => Math.sin(i * 0.7))
  return convert(fromFloat32(values, [tokens, width]), dtype)
}

/** Bytes per second that a copy within the device's memory reads and writes. */
export function copyRate(device: Device, bytes: number = 2 ** 30, times: number = 20): number {
  if (device.kind === 'webgpu') return bufferCopyRate(device, bytes, times)
  const heap = threadRuntime.heap(device)
  const cuda = threadRuntime.cuda()
  const [from, to] = [heap.allocate(bytes), heap.allocate(bytes)]
  try {
    let began = 0
    for (let i = 0; i <= times; i++) {
      cuda.call('cudaMemcpy', to, from, bytes, DEVICE_TO_DEVICE)
      if (i === 0) {
        cuda.call('cudaDeviceSynchronize')
        began = performance.now()
      }
    }
    cuda.call('cudaDeviceSynchronize')
    return (2 * bytes * times) / ((performance.now() - began) / 1000)
  } finally {
    for (const address of [from, to]) heap.free(address)
  }
}

/** The same, of whole buffers: reading a few bytes waits for the copies before. */
function bufferCopyRate(device: Device, bytes: number, times: number): number {
  openWebGpu(environmentFor(device, createEnvironment({ threads: 2, spin: false })), device)
  const heap = threadRuntime.buffers()
  const [from, to] = [heap.allocate(bytes), heap.allocate(bytes)]
  try {
    let began = 0
    for (let i = 0; i <= times; i++) {
      heap.copyBuffer(from, to, bytes)
      if (i === 0) {
        heap.read(to, new Uint8Array(16))
        began = performance.now()
      }
    }
    heap.read(to, new Uint8Array(16))
    return (2 * bytes * times) / ((performance.now() - began) / 1000)
  } finally {
    for (const buffer of [from, to]) heap.free(buffer)
  }
}
