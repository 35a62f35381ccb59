import { ropeInputs } from '../../families/graphs/input-names.ts'
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
import type { RowMemory } from '../cache/rows/row-memory.ts'
import { MAX_PROMPTED_TOKENS, MAX_RECORDINGS } from '../plan/run-limits.ts'
import { cutAtPrompts } from './prompted-batch.ts'
import { type DeviceRope, DeviceRopes } from './device-ropes.ts'
import { PromptMemory } from './prompt-memory.ts'
import { Recordings, isRefusal } from './recordings.ts'
import type { RopeTensors } from './rope-tables.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'
import type { RowBatch } from './row-batch.ts'
import { type SessionForm, type SpanSession, SpanSessions } from './span-sessions.ts'
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

/** What the runtime takes for a run that is not to be recorded, in a session whose runs are. */
const NOT_RECORDED = -1

/** The graphs of the whole span's blocks in a form. */
export type SpanGraphs = (form: SessionForm) => readonly FinishedGraph[]

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
  readonly #recordings: Recordings | undefined
  readonly #sessions: SpanSessions
  readonly #cpu: Pointer
  readonly #memory: Pointer
  /** Whether a session that records has run something that is not recorded. */
  #ranBeside = false
  /** Where deep prompts lie, once there are any. */
  #prompts: PromptMemory | undefined

  /** `span` has its weights on the device. Throws `RuntimeError`. */
  constructor(env: Environment, span: RunnerSpan, graphs: SpanGraphs, options: DeviceRunnerOptions) {
    const blocks = span.resident!
    this.#env = env
    this.#span = span
    this.#options = options
    this.#heap = threadRuntime.heap(span.device)
    this.#ropes = new DeviceRopes(this.#heap)
    this.#step = new StepMemory(this.#heap, options.maxTokens, this.#hiddenBytes)
    this.#recordings = options.recorded && new Recordings(env.ort, span.device, MAX_RECORDINGS)
    this.#sessions = new SpanSessions({
      env,
      device: span.device,
      blocks,
      graphs,
      workspaceBytes: WORKSPACE_BYTES,
      recordings: this.#recordings,
    })
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#memory = memoryInfo(env.ort, span.device)
  }

  /** Sessions that exist, and runs that are recorded. */
  get numSessions(): number {
    return this.#sessions.numSessions
  }

  get numRecordings(): number {
    return this.#recordings?.size ?? 0
  }

  run(batch: RowBatch, rope: RopeTensors): void {
    const table = this.#ropes.get(rope)
    for (const part of cutAtPrompts(batch, MAX_PROMPTED_TOKENS)) this.#runPart(part, table)
  }

  close(): void {
    this.#sessions.close()
    this.#step.release()
    this.#prompts?.release()
    this.#ropes.release()
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }

  get #hiddenBytes(): number {
    return this.#span.hiddenSize * dtypeSize(this.#span.dtype)
  }

  #runPart(batch: RowBatch, table: DeviceRope): void {
    const form = { adapted: batch.adapters !== undefined, prompted: batch.prompts !== undefined }
    const sessionOf = (): SpanSession => this.#sessions.get({ ...batch, ...form })
    const session = sessionOf()
    this.#step.write(batch)
    if (batch.prompts !== undefined) this.#promptMemory().write(batch, batch.prompts)
    const runAfresh = (): void => {
      this.#sessions.close()
      this.#runOnce(sessionOf(), batch, table)
    }
    const runOnce = (): void => this.#runBeside(session, batch, table, runAfresh)
    if (session.records && this.#options.recorded === batch.memory && batch.tokens === 1) {
      this.#recordings!.run({
        session: session.pointer,
        kind: `${batch.offset}:${batch.capacity}:${batch.pastLengths.length}:${table.id}`,
        // The total length is recorded with the run: the cache's own is right for every step.
        bind: (graphId) => this.#bind(session, batch, table, batch.capacity, graphId),
        runOnce,
        runAfresh,
      })
    } else runOnce()
    this.#step.read(batch.output)
  }

  /**
   * A run that is not recorded, in a session whose steps may be: where the library takes no such runs, which the first
   * one shows, nothing is recorded.
   */
  #runBeside(session: SpanSession, batch: RowBatch, table: DeviceRope, runAfresh: () => void): void {
    try {
      this.#runOnce(session, batch, table)
      this.#ranBeside ||= session.records
    } catch (error) {
      if (!session.records || this.#ranBeside || !isRefusal(error)) throw error
      this.#recordings!.fallBack(error, runAfresh)
    }
  }

  #runOnce(session: SpanSession, batch: RowBatch, table: DeviceRope): void {
    // With the chunk's own length here, the operator takes the chunk for a first prompt and ignores the cache.
    const total = Math.max(...batch.pastLengths) + batch.tokens
    using run = this.#bind(session, batch, table, total, session.records ? NOT_RECORDED : undefined)
    run.run()
  }

  #promptMemory(): PromptMemory {
    const blocks = this.#span.resident!.length
    this.#prompts ??= new PromptMemory(this.#heap, blocks, MAX_PROMPTED_TOKENS * this.#hiddenBytes)
    return this.#prompts
  }

  #bindPrompts(scope: TensorScope, { start, end, tokens, prompts }: RowBatch): Bound[] {
    if (prompts === undefined) return []
    const shape = [1, tokens, this.#span.hiddenSize]
    return Array.from({ length: end - start }, (_, i) => [
      nameInCopy(i, 'prompts'),
      scope.wrap(this.#memory, this.#span.dtype, shape, this.#promptMemory().block(i)),
    ])
  }

  #bindAdapters(scope: TensorScope, { start, end, adapters }: RowBatch): Bound[] {
    const { adapters: stacks, dtype } = this.#span
    if (stacks === undefined || adapters === undefined) return []
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
      const ofForm = [...this.#bindAdapters(scope, batch), ...this.#bindPrompts(scope, batch)]
      const past = cached.map(({ block, part, value }): Bound => [nameInCopy(block, `past_${part}`), value])
      const present = cached.map(({ block, part, value }): Bound => [nameInCopy(block, `present_${part}`), value])
      return new BoundRun(
        this.#env.ort,
        session.pointer,
        scope,
        [
          ['hidden', onDevice(hiddenShape, this.#step.input)],
          ...shared.filter(([name]) => session.inputs.has(name)),
          ...ofForm,
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
