import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { AdapterMemory } from '../../src/engine/adapters/adapter-memory.ts'
import { BlockMemory, type RowMemory, cacheBytes } from '../../src/engine/cache/rows/row-memory.ts'
import { blockSlices } from '../../src/engine/loading/block-slices.ts'
import { loadResidentBlocks, releaseResident } from '../../src/engine/loading/resident.ts'
import { WeightMemory } from '../../src/engine/loading/weight-memory.ts'
import { DeviceRunner, type SpanGraphs } from '../../src/engine/run/device-runner.ts'
import { RopeTables } from '../../src/engine/run/rope-tables.ts'
import type { RowBatch } from '../../src/engine/run/row-batch.ts'
import type { RunnerSpan } from '../../src/engine/run/runner-span.ts'
import { warmUpDevice } from '../../src/engine/run/warm-up-device.ts'
import { blockGraphs, cacheShape } from '../../src/families/graphs/graphs.ts'
import type { Device } from '../../src/runtime/device.ts'
import { createEnvironment, environmentFor } from '../../src/runtime/environment.ts'
import { convert } from '../../src/tensor/convert.ts'
import { type FloatDType, dtypeSize } from '../../src/tensor/dtype.ts'
import { asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { median } from '../statistics.ts'
import { LLAMA_3_8B, type Shape, syntheticCheckpoint } from './synthetic.ts'

const FOLDER = new URL('../../test/fixtures', import.meta.url).pathname

/** Rows of the cache, of so many tokens each. */
export const ROWS = 17
export const CAPACITY = 1024
export const CHUNK = 512

/** Two blocks of Llama 3 8B on a GPU, and something small on a CPU, where only the way is tried. */
function shapeFor({ kind }: Device): Shape {
  if (kind === 'cuda') return { ...LLAMA_3_8B, numBlocks: 2 }
  return { numBlocks: 2, hiddenSize: 256, intermediateSize: 512, numHeads: 8, numKvHeads: 4 }
}

/** What a span's engine thread runs, in this thread: its recordings, sessions and forms can be seen. */
export class RunnerBench implements Disposable {
  /** Whether runs go through the runner that records. */
  records = true
  readonly recording: DeviceRunner
  readonly #plain: () => DeviceRunner
  readonly span: RunnerSpan
  readonly #undo: (() => void)[] = []
  readonly #memory: RowMemory
  readonly #ropes: RopeTables
  readonly #key: string

  private constructor(checkpoint: Checkpoint, device: Device, dtype: FloatDType) {
    const { config } = checkpoint
    const { numBlocks, hiddenSize } = config
    const target = { device: device.kind, dtype } as const
    const graphs: SpanGraphs = ({ adapted, prompted }) =>
      blockGraphs(config, { ...target, adapters: adapted, prompted })
    const plain = graphs({ adapted: false, prompted: false })
    const slices = blockSlices({ checkpoint, start: 0, end: numBlocks }, plain)
    const memory = new WeightMemory()
    const resident = loadResidentBlocks(device, plain, (i) => ({ slices: slices[i]!, memory }))
    this.#undo.push(() => releaseResident({ device, resident }))
    const adapters = new AdapterMemory(device, graphs({ adapted: true, prompted: false }), dtype, 16)
    this.#undo.push(() => adapters.release())
    const { kvHeads, headDim } = cacheShape(config, target)
    const shape = { dtype, kvHeads, cacheHeadDim: headDim }
    const sizes = { device, quant: undefined, sessions: [], hiddenSize, start: 0, inputs: [] } as const
    this.span = { ...sizes, ...shape, resident, adapters: adapters.blocks }
    const tokenBytes = cacheBytes(shape)
    const cache = new BlockMemory(device, numBlocks, ROWS * CAPACITY * tokenBytes)
    this.#undo.push(() => cache.release())
    this.#memory = { device, kvHeads, tokenBytes, blocks: cache.blocks, discards: false }
    const env = environmentFor(device, createEnvironment({ threads: 2, spin: false }))
    const newRunner = (recorded: RowMemory | undefined): DeviceRunner => {
      const runner = new DeviceRunner(env, this.span, graphs, { maxTokens: CHUNK, recorded })
      this.#undo.push(() => runner.close())
      return runner
    }
    this.recording = newRunner(this.#memory)
    let unrecorded: DeviceRunner | undefined
    this.#plain = () => (unrecorded ??= newRunner(undefined))
    this.#ropes = new RopeTables(config, dtype, () => undefined)
    this.#key = this.#ropes.acquire(CAPACITY, CAPACITY)
    const modules = { span: this.span, memory: this.#memory, runner: this.recording, ropes: this.#ropes }
    warmUpDevice(modules, { tokens: CHUNK, cacheTokens: ROWS * CAPACITY }, () => undefined)
  }

  /** Of random weights. */
  static synthetic(device: Device, dtype: FloatDType): RunnerBench {
    using checkpoint = syntheticCheckpoint(shapeFor(device))
    return new RunnerBench(checkpoint, device, dtype)
  }

  static async fixture(name: string, device: Device, dtype: FloatDType): Promise<RunnerBench> {
    return new RunnerBench(await openCheckpoint(`${FOLDER}/${name}`), device, dtype)
  }

  /** Runs positions behind `past`, of one row or more from the first on; gives the output. */
  run(tokens: number, pastLengths: readonly number[], more: Partial<RowBatch> = {}): Float32Array {
    const { hiddenSize, dtype } = this.span
    const count = tokens * pastLengths.length * hiddenSize
    const hidden = fromFloat32(
      Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.7 + pastLengths[0]!)),
      [count],
    )
    const input = convert(hidden, dtype).data
    const output = new Uint8Array(count * dtypeSize(dtype))
    const end = this.span.resident!.length
    const batch = { memory: this.#memory, offset: 0, capacity: CAPACITY, start: 0, end, tokens, pastLengths }
    const runner = this.records ? this.recording : this.#plain()
    runner.run({ ...batch, input, output, ...more }, this.#ropes.get(this.#key, CAPACITY))
    return asFloat32(convert({ dtype, shape: [count], data: output }, 'float32'))
  }

  /** The median time of a run, in ms, once it has been prepared. */
  time(tokens: number, pastLengths: readonly number[], more: Partial<RowBatch> = {}): number {
    for (let i = 0; i < 3; i++) this.run(tokens, pastLengths, more)
    const times = Array.from({ length: 20 }, () => {
      const began = performance.now()
      this.run(tokens, pastLengths, more)
      return performance.now() - began
    })
    return median(times)
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.toReversed()) undo()
  }
}
