import { ropeInputs } from '../../families/graphs/input-names.ts'
import { CPU } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type Bound, runBound } from '../../runtime/run.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { type AdapterBinding, bindMask, bindStacks, coveringRange } from '../adapters/adapter-batch.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import { CacheScales } from '../cache/rows/scales.ts'
import { addPrompts } from './prompted-batch.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { RopeTensors } from './rope-tables.ts'
import type { RowBatch } from './row-batch.ts'

/**
 * Runs batches through a span's blocks, synchronously. Throws where the device fails; nothing of the batch counts then.
 */
export interface Runner {
  run(batch: RowBatch, rope: RopeTensors): void
  close(): void
}

/**
 * Runs batches through the span's blocks on a CPU, one after the other, with the KV cache bound in place: nothing of it
 * is ever copied. The cache of each block is one piece of memory per K and V; a batch is a range of adjacent rows of
 * it, [rows, kvHeads, capacity, headDim] starting at the first row's offset.
 */
export class CpuRunner implements Runner {
  readonly #env: Environment
  readonly #span: RunnerSpan
  readonly #cpu: Pointer
  readonly #memory: Pointer
  readonly #runOptions: Pointer
  readonly #needsPositionIds: boolean
  /** Of each memory that batches have brought. */
  readonly #scales = new WeakMap<RowMemory, CacheScales>()
  #scratch: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)]

  constructor(env: Environment, span: RunnerSpan) {
    this.#env = env
    this.#span = span
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#memory = memoryInfo(env.ort, span.device)
    this.#runOptions = env.ort.create('CreateRunOptions')
    this.#needsPositionIds = span.inputs.some((inputs) => inputs.has('position_ids'))
  }

  run(batch: RowBatch, rope: RopeTensors): void {
    using scope = new TensorScope(this.#env.ort)
    const { memory, bases } = batch
    const others = this.#sharedInputs(batch, rope, scope)
    const shared = [...this.#lengths(batch, scope), ...others]
    const windowed = bases === undefined ? shared : [...this.#lengths(batch, scope, bases), ...others]
    let input = batch.prompts === undefined ? batch.input : batch.input.slice()
    for (let block = batch.start; block < batch.end; block++) {
      addPrompts(input, batch, block, this.#span.dtype)
      const output = block === batch.end - 1 ? batch.output : this.#scratchBuffer(block % 2, batch.output.byteLength)
      this.#runBlock(batch, block, input, output, memory.window?.blocks[block] ? windowed : shared)
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
  #lengths({ tokens, pastLengths }: RowBatch, scope: TensorScope, bases?: readonly number[]): Bound[] {
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
  #sharedInputs({ tokens, pastLengths, adapters }: RowBatch, rope: RopeTensors, scope: TensorScope): Bound[] {
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

  #runBlock(batch: RowBatch, block: number, input: Uint8Array, output: Uint8Array, shared: readonly Bound[]): void {
    const { dtype, kvDType = dtype, hiddenSize, kvHeads, cacheHeadDim, sessions } = this.#span
    const rows = batch.pastLengths.length
    const hiddenShape = [rows, batch.tokens, hiddenSize]
    const cacheShape = [rows, kvHeads, batch.capacity, cacheHeadDim]
    const { tokenBytes, blocks } = batch.memory
    const start = BigInt(batch.offset * tokenBytes)
    const cache = blocks[block]!
    const inputs = this.#span.inputs[block]!
    using scope = new TensorScope(this.#env.ort)
    const keys = scope.wrap(this.#memory, kvDType, cacheShape, cache.key + start)
    const cachedValues = scope.wrap(this.#memory, kvDType, cacheShape, cache.value + start)
    const stacks = this.#span.adapters?.[block]
    const adapters =
      stacks === undefined ? [] : bindStacks(this.#binding(scope), stacks, coveringRange(batch.adapters ?? []))
    const cacheScales = this.#scalesOf(batch.memory)
    const scales = cacheScales?.bind((shape, data) => scope.wrap(this.#cpu, 'float32', shape, data), batch, block)
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
    cacheScales?.keep(batch, block)
  }

  #scalesOf(memory: RowMemory): CacheScales | undefined {
    if (memory.scales === undefined) return undefined
    const known = this.#scales.get(memory) ?? new CacheScales(this.#span, memory.scales)
    this.#scales.set(memory, known)
    return known
  }
}
