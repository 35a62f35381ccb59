import { ropeInputs } from '../../families/input-names.ts'
import type { KvDType } from '../../graph/lowering.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import { CPU, type Device } from '../../runtime/device.ts'
import { type Environment, memoryInfo } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type Bound, runBound } from '../../runtime/run.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { type AdapterBinding, bindMask, bindStacks, coveringRange } from '../adapters/adapter-batch.ts'
import type { AdapterStack } from '../adapters/adapter-memory.ts'
import type { BlockCache } from '../cache/memory.ts'
import { CacheScales } from '../cache/scales.ts'
import type { SpanWindow } from '../cache/window.ts'
import type { ResidentBlock } from '../loading/resident.ts'
import type { RopeTensors } from './rope-tables.ts'
import type { Quantization } from '../../tensor/quantize.ts'
import type { Batch } from '../schedule/scheduler.ts'
import { WindowSlider } from '../cache/window-slider.ts'

/** What the engine thread knows of its span: handles and sizes, no weights. */
export interface LoadedSpan {
  readonly device: Device
  readonly dtype: FloatDType
  readonly quant: Quantization | undefined
  /** Of the model's blocks, the first that it holds. */
  readonly start: number
  /** One session per block, in the order of the span, on a CPU. */
  readonly sessions: readonly Pointer[]
  /** How keys and values are kept: in `dtype` where not given. */
  readonly kvDType?: KvDType | undefined
  /** Of each block, the scales of a cache of int8. */
  readonly scales?: readonly SharedArrayBuffer[] | undefined
  readonly hiddenSize: number
  readonly kvHeads: number
  readonly cacheHeadDim: number
  /** Of each block, in the same order. */
  readonly caches: readonly BlockCache[]
  /**
   * Of a span with windowed blocks whose rows slide; a batch has all blocks of its rows, or was prepared as a whole
   * before.
   */
  readonly window?: SpanWindow | undefined
  /** Of each block, the names of what its graph takes. */
  readonly inputs: readonly ReadonlySet<string>[]
  /** Of each block, where adapters lie; of a span that has a place for them. */
  readonly adapters?: readonly (readonly AdapterStack[])[] | undefined
  /** Of each block, where the weights lie in the device's memory; sessions are made when first needed then. */
  readonly resident?: readonly ResidentBlock[] | undefined
}

/**
 * Runs batches through a span's blocks, synchronously. Throws where the device fails; nothing of the batch counts then.
 */
export interface Runner {
  run(batch: Batch, rope: RopeTensors): void
  close(): void
}

/** Bytes of one token's keys (or values) in one block. */
export function cacheBytes({
  kvHeads,
  cacheHeadDim,
  dtype,
  kvDType,
}: Pick<LoadedSpan, 'kvHeads' | 'cacheHeadDim' | 'dtype' | 'kvDType'>): number {
  return kvHeads * cacheHeadDim * dtypeSize(kvDType ?? dtype)
}

/**
 * Runs batches through the span's blocks on a CPU, one after the other, with the KV cache bound in place: nothing of it
 * is ever copied. The cache of each block is one piece of memory per K and V; a batch is a range of adjacent rows of
 * it, [rows, kvHeads, capacity, headDim] starting at the first row's offset.
 */
export class SpanRunner implements Runner {
  readonly #env: Environment
  readonly #span: LoadedSpan
  readonly #cpu: Pointer
  readonly #memory: Pointer
  readonly #runOptions: Pointer
  readonly #tokenBytes: number
  readonly #needsPositionIds: boolean
  readonly #slider: WindowSlider | undefined
  readonly #scales: CacheScales | undefined
  #scratch: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)]

  constructor(env: Environment, span: LoadedSpan) {
    this.#env = env
    this.#span = span
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#memory = memoryInfo(env.ort, span.device)
    this.#runOptions = env.ort.create('CreateRunOptions')
    this.#tokenBytes = cacheBytes(span)
    this.#needsPositionIds = span.inputs.some((inputs) => inputs.has('position_ids'))
    this.#slider = span.window && new WindowSlider(span, span.window)
    this.#scales = span.scales && new CacheScales(span, span.scales)
  }

  run(batch: Batch, rope: RopeTensors): void {
    using scope = new TensorScope(this.#env.ort)
    const bases = this.#slider?.prepare(batch)
    const others = this.#sharedInputs(batch, rope, scope)
    const shared = [...this.#lengths(batch, scope), ...others]
    const windowed = bases === undefined ? shared : [...this.#lengths(batch, scope, bases), ...others]
    let input = batch.input
    for (let block = batch.start; block < batch.end; block++) {
      const output = block === batch.end - 1 ? batch.output : this.#scratchBuffer(block % 2, batch.output.byteLength)
      this.#runBlock(batch, block, input, output, this.#span.window?.blocks[block] ? windowed : shared)
      input = output
    }
  }

  close(): void {
    this.#env.ort.release('ReleaseRunOptions', this.#runOptions)
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }

  #scratchBuffer(index: number, bytes: number): Uint8Array {
    if (this.#scratch[0].byteLength < bytes) this.#scratch = [new Uint8Array(bytes), new Uint8Array(bytes)]
    return this.#scratch[index]!
  }

  /** How far each row is filled, counted from the position in its slot 0. */
  #lengths({ tokens, pastLengths }: Batch, scope: TensorScope, bases?: readonly number[]): Bound[] {
    const past = bases === undefined ? pastLengths : pastLengths.map((length, i) => length - bases[i]!)
    // The length of the longest row *after* the run: with the chunk's own length here, the operator takes the chunk for
    // a first prompt and ignores the cache, without an error.
    const total = Int32Array.of(Math.max(...past) + tokens)
    return [
      [
        'seqlens_k',
        scope.wrap(
          this.#cpu,
          'int32',
          [past.length],
          Int32Array.from(past, (length) => length + tokens - 1),
        ),
      ],
      ['total_sequence_length', scope.wrap(this.#cpu, 'int32', [1], total)],
    ]
  }

  /** Inputs that are the same for every block of the run that takes them, beside the lengths. */
  #sharedInputs({ tokens, pastLengths, adapters }: Batch, rope: RopeTensors, scope: TensorScope): Bound[] {
    const rows = pastLengths.length
    const shared: Bound[] = []
    for (const [i, { cos, sin }] of rope.ropes.entries()) {
      const names = ropeInputs(i)
      shared.push(
        [names.cos, scope.wrap(this.#cpu, cos.dtype, cos.shape, cos.data)],
        [names.sin, scope.wrap(this.#cpu, sin.dtype, sin.shape, sin.data)],
      )
    }
    if (this.#span.adapters !== undefined)
      shared.push(bindMask(this.#binding(scope), adapters ?? pastLengths.map(() => undefined)))
    if (this.#needsPositionIds) {
      const ids = BigInt64Array.from({ length: rows * tokens }, (_, i) =>
        BigInt(pastLengths[Math.floor(i / tokens)]! + (i % tokens)),
      )
      shared.push(['position_ids', scope.wrap(this.#cpu, 'int64', [rows, tokens], ids)])
    }
    return shared
  }

  #binding(scope: TensorScope): AdapterBinding {
    return { scope, host: this.#cpu, memory: this.#memory, dtype: this.#span.dtype }
  }

  #runBlock(batch: Batch, block: number, input: Uint8Array, output: Uint8Array, shared: readonly Bound[]): void {
    const { dtype, kvDType = dtype, hiddenSize, kvHeads, cacheHeadDim, sessions } = this.#span
    const rows = batch.pastLengths.length
    const hiddenShape = [rows, batch.tokens, hiddenSize]
    const cacheShape = [rows, kvHeads, batch.capacity, cacheHeadDim]
    const start = BigInt(batch.offset * this.#tokenBytes)
    const cache = this.#span.caches[block]!,
      inputs = this.#span.inputs[block]!
    using scope = new TensorScope(this.#env.ort)
    const keys = scope.wrap(this.#memory, kvDType, cacheShape, cache.key + start)
    const cachedValues = scope.wrap(this.#memory, kvDType, cacheShape, cache.value + start)
    const stacks = this.#span.adapters?.[block]
    const adapters =
      stacks === undefined ? [] : bindStacks(this.#binding(scope), stacks, coveringRange(batch.adapters ?? []))
    const scales = this.#scales?.bind((shape, data) => scope.wrap(this.#cpu, 'float32', shape, data), batch, block)
    runBound(
      this.#env.ort,
      sessions[block]!,
      this.#runOptions,
      [
        ...adapters,
        ['hidden', scope.wrap(this.#cpu, dtype, hiddenShape, input)],
        ['past_key', keys],
        ['past_value', cachedValues],
        ...(scales?.inputs ?? []),
        ...shared.filter(([name]) => inputs.has(name)),
      ],
      [
        ['output', scope.wrap(this.#cpu, dtype, hiddenShape, output)],
        ['present_key', keys],
        ['present_value', cachedValues],
        ...(scales?.outputs ?? []),
      ],
    )
    this.#scales?.keep(batch, block)
  }
}
