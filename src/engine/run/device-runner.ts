import { errorCode, errorMessage } from '../../base/errors.ts'
import { ropeInputs } from '../../families/input-names.ts'
import { nameInCopy } from '../../graph/chain.ts'
import type { FinishedGraph } from '../../graph/encode.ts'
import { BoundRun } from '../../runtime/bound-run.ts'
import { CPU } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import type { Bound } from '../../runtime/run.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { dtypeSize } from '../../tensor/dtype.ts'
import { bindMask, bindStacks, coveringRange } from '../adapters/adapter-batch.ts'
import { type DeviceRope, DeviceRopes } from './device-ropes.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import type { ResidentBlock } from '../loading/resident.ts'
import type { RopeTensors } from './rope-tables.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'
import type { RowBatch } from './row-batch.ts'
import { type RecordedRun, type SpanSession, SpanSessions } from './span-sessions.ts'
import { StepMemory } from './step-memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

export interface DeviceRunnerOptions {
  /** Most tokens of one run, over all rows. */
  readonly maxTokens: number
  /** Whose decode steps are recorded as CUDA graphs and replayed: where its rows lie never changes. */
  readonly recorded: RowMemory | undefined
}

/**
 * Far above what a chunk of a prefill takes; a run that wants more fails alone instead of taking the cache's
 * neighbours' room.
 */
const WORKSPACE_BYTES = 4 * 1024 ** 3

/**
 * Runs batches through all blocks of a span in one device run, on weights in the device's memory, with the KV cache
 * bound in place. Inputs and outputs are copied once per run.
 */
export class DeviceRunner implements Runner {
  readonly #env: Environment
  readonly #span: RunnerSpan
  readonly #options: DeviceRunnerOptions
  readonly #heap: DeviceHeap
  readonly #ropes: DeviceRopes
  readonly #step: StepMemory
  readonly #sessions: SpanSessions
  readonly #cpu: Pointer
  readonly #memory: Pointer
  #recordingFailed = false

  /** `graphs`: one for each of `blocks`. Throws `RuntimeError`. */
  constructor(
    env: Environment,
    span: RunnerSpan,
    graphs: readonly FinishedGraph[],
    blocks: readonly ResidentBlock[],
    options: DeviceRunnerOptions,
  ) {
    this.#env = env
    this.#span = span
    this.#options = options
    this.#heap = threadRuntime.heap(span.device)
    this.#ropes = new DeviceRopes(this.#heap)
    this.#step = new StepMemory(this.#heap, options.maxTokens, span.hiddenSize * dtypeSize(span.dtype))
    this.#sessions = new SpanSessions(env, span.device, graphs, blocks, WORKSPACE_BYTES)
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#memory = memoryInfo(env.ort, span.device)
  }

  run(batch: RowBatch, rope: RopeTensors): void {
    const table = this.#ropes.get(rope)
    this.#step.write(batch)
    // Adapters come and go: where they lie is not recorded.
    const isRecorded = this.#options.recorded === batch.memory && batch.tokens === 1 && batch.adapters === undefined
    if (isRecorded && !this.#recordingFailed) this.#replay(batch, table)
    else this.#runOnce(batch, table)
    this.#step.read(batch.output)
  }

  close(): void {
    this.#sessions.close()
    this.#step.release()
    this.#ropes.release()
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }

  #runOnce(batch: RowBatch, table: DeviceRope): void {
    const session = this.#sessions.get({ ...batch, records: false })
    // With the chunk's own length here, the operator takes the chunk for a first prompt and ignores the cache.
    using run = this.#bind(session, batch, table, Math.max(...batch.pastLengths) + batch.tokens)
    run.run()
  }

  /** The first step of its kind records the run. What differs from step to step lies in the device's memory. */
  #replay(batch: RowBatch, table: DeviceRope): void {
    const session = this.#sessions.get({ ...batch, records: true })
    const key = `${batch.offset}:${batch.capacity}:${batch.pastLengths.length}:${table.id}`
    const recorded = session.recorded.get(key, (): RecordedRun => {
      const graphId = this.#sessions.newGraphId()
      // The total length is recorded with the run: the cache's own is right for every step.
      return { graphId, run: this.#bind(session, batch, table, batch.capacity, graphId), isRecorded: false }
    })
    try {
      recorded.run.run()
      recorded.isRecorded = true
    } catch (error) {
      session.recorded.delete(key)
      if (recorded.isRecorded || !isRefusal(error)) throw error
      this.#runOnce(batch, table)
      // So the step was right, and only its recording was refused, as that of an operator which waits for the host.
      this.#recordingFailed = true
      process.emitWarning(`decode steps cannot be recorded on this GPU and are slower for it: ${errorMessage(error)}`)
    }
  }

  #bindAdapters(
    scope: TensorScope,
    { start, end, pastLengths, adapters = pastLengths.map(() => undefined) }: RowBatch,
  ): Bound[] {
    const { adapters: stacks, dtype } = this.#span
    if (stacks === undefined) return []
    const binding = { scope, host: this.#cpu, memory: this.#memory, dtype }
    const range = coveringRange(adapters)
    const own = stacks
      .slice(start, end)
      .flatMap((block, i) =>
        bindStacks(binding, block, range).map(([name, value]): Bound => [nameInCopy(i, name), value]),
      )
    return [bindMask(binding, adapters), ...own]
  }

  #bind(session: SpanSession, batch: RowBatch, table: DeviceRope, totalLength: number, graphId?: number): BoundRun {
    const { dtype, hiddenSize, kvHeads, cacheHeadDim } = this.#span
    const { blocks: caches, tokenBytes } = batch.memory
    const rows = batch.pastLengths.length
    const scope = new TensorScope(this.#env.ort)
    try {
      const onDevice = (shape: readonly number[], address: Pointer) => scope.wrap(this.#memory, dtype, shape, address)
      const hiddenShape = [rows, batch.tokens, hiddenSize]
      const shared: Bound[] = [
        ['seqlens_k', scope.wrap(this.#memory, 'int32', [rows], this.#step.lengths)],
        ['total_sequence_length', scope.wrap(this.#cpu, 'int32', [1], Int32Array.of(totalLength))],
        ...table.source.ropes.flatMap(({ cos, sin }, i): Bound[] => [
          [ropeInputs(i).cos, onDevice(cos.shape, table.addresses[i]!.cos)],
          [ropeInputs(i).sin, onDevice(sin.shape, table.addresses[i]!.sin)],
        ]),
        ['position_ids', scope.wrap(this.#memory, 'int64', [rows, batch.tokens], this.#step.positions)],
      ]
      const cacheShape = [rows, kvHeads, batch.capacity, cacheHeadDim]
      const start = BigInt(batch.offset * tokenBytes)
      const cached = caches.slice(batch.start, batch.end).flatMap(({ key, value }, i) => [
        { block: i, part: 'key', value: onDevice(cacheShape, key + start) },
        { block: i, part: 'value', value: onDevice(cacheShape, value + start) },
      ])
      const adapters = this.#bindAdapters(scope, batch)
      const past = cached.map(({ block, part, value }): Bound => [nameInCopy(block, `past_${part}`), value])
      const present = cached.map(({ block, part, value }): Bound => [nameInCopy(block, `present_${part}`), value])
      return new BoundRun(
        this.#env.ort,
        session.pointer,
        scope,
        [
          ['hidden', onDevice(hiddenShape, this.#step.input)],
          ...shared.filter(([name]) => session.inputs.has(name)),
          ...adapters,
          ...past,
        ],
        [['output', onDevice(hiddenShape, this.#step.output)], ...present],
        graphId,
      )
    } catch (error) {
      scope[Symbol.dispose]()
      throw error
    }
  }
}

/** Whether it is not the device that failed, nor its memory, but what it was asked to do. */
function isRefusal(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'RUNTIME' || code === 'RUNTIME_KERNEL'
}
