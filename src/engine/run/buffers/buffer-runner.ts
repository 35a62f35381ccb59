import { ofRow, ropeInputs } from '../../../families/graphs/input-names.ts'
import { nameInCopy } from '../../../graph/chain.ts'
import { BoundRun } from '../../../runtime/bound-run.ts'
import { CPU } from '../../../runtime/device.ts'
import type { Environment } from '../../../runtime/environment.ts'
import type { Pointer } from '../../../runtime/library.ts'
import type { BufferHeap } from '../../../runtime/memory.ts'
import type { Bound } from '../../../runtime/run.ts'
import { TensorScope } from '../../../runtime/tensor-scope.ts'
import { memoryInfo } from '../../../runtime/values.ts'
import { dtypeSize } from '../../../tensor/dtype.ts'
import { type BufferAdapter, BufferAdapters } from '../../adapters/buffer-adapters.ts'
import type { BlockBuffers } from '../../cache/buffers/buffer-mover.ts'
import { cacheBytes } from '../../cache/rows/row-memory.ts'
import { promptsOfBlock } from '../deep-prompts.ts'
import type { RopeTensors } from '../rope-tables.ts'
import type { RunnerSpan } from '../runner-span.ts'
import type { BufferBatch } from './buffer-batch.ts'
import { type BufferRope, BufferRopes } from './buffer-ropes.ts'
import { type BufferSession, type BufferSessionModules, BufferSessions } from './buffer-sessions.ts'
import { BufferStep } from './buffer-step.ts'

export interface BufferRunnerOptions {
  /** Most rows of one run: a power of two. */
  readonly maxRows: number
  /** Most tokens of one run, over all rows. */
  readonly maxTokens: number
  /** Most tokens of one row in a run of the device that computes rightly: longer ones are run in pieces. */
  readonly rightTokens: number
}

export interface BufferRunnerModules extends Omit<BufferSessionModules, 'device' | 'blocks'> {
  readonly heap: BufferHeap
}

/** What a batch is run with: `size` rows, idle ones included. */
interface OnDevice {
  readonly size: number
  readonly table: BufferRope
  readonly adapter: BufferAdapter | undefined
}

/** Where rows beyond those of a batch write their one token. */
const IDLE_CAPACITY = 8

/**
 * Runs batches through all blocks of a span in one device run, on weights in buffers of their own, with each row's KV
 * cache bound in place. A batch of other than 2^n rows is filled up with idle ones, so that there are few sessions. The
 * device checks no position: that is done here. Synchronous.
 */
export class BufferRunner {
  readonly #env: Environment
  readonly #span: RunnerSpan
  readonly #ropes: BufferRopes
  readonly #step: BufferStep
  readonly #sessions: BufferSessions
  /** Of a span that has a place for any. */
  readonly #adapters: BufferAdapters | undefined
  readonly #heap: BufferHeap
  readonly #cpu: Pointer
  readonly #memory: Pointer
  readonly #maxRows: number
  readonly #rightTokens: number
  #idle: BlockBuffers | undefined

  /** `span` has its weights on the device. Throws `RuntimeError`. */
  constructor(
    modules: BufferRunnerModules,
    span: RunnerSpan,
    { maxRows, maxTokens, rightTokens }: BufferRunnerOptions,
  ) {
    const { env, heap } = modules
    this.#env = env
    this.#span = span
    this.#heap = heap
    this.#maxRows = maxRows
    this.#rightTokens = rightTokens
    this.#ropes = new BufferRopes(heap)
    this.#step = new BufferStep(heap, { maxRows, maxTokens, hiddenBytes: span.hiddenSize * dtypeSize(span.dtype) })
    this.#sessions = new BufferSessions({ ...modules, device: span.device, blocks: span.resident! })
    const { adapters: stacks, adapterRanks: maxRanks = 0, dtype } = span
    this.#adapters = stacks && new BufferAdapters({ heap, stacks, dtype, maxRanks })
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#memory = memoryInfo(env.ort, span.device)
  }

  /**
   * `rope`: tables of the batch's kind of sessions, with all positions that the run needs. Throws `RuntimeError`, and
   * `RangeError` for what would be written beyond the end of something; nothing of the batch counts then.
   */
  run(batch: BufferBatch, rope: RopeTensors): void {
    const { tokens, pastLengths, input, output, prompts } = batch
    if (tokens <= this.#rightTokens) return this.#run(batch, rope)
    const tokenBytes = input.byteLength / tokens
    for (let at = 0; at < tokens; at += this.#rightTokens) {
      const until = Math.min(tokens, at + this.#rightTokens)
      this.#run(
        {
          ...batch,
          tokens: until - at,
          pastLengths: pastLengths.map((past) => past + at),
          input: input.subarray(at * tokenBytes, until * tokenBytes),
          output: output.subarray(at * tokenBytes, until * tokenBytes),
          prompts: prompts && { ...prompts, first: prompts.first + at },
        },
        rope,
      )
    }
  }

  close(): void {
    this.#sessions.close()
    this.#step.release()
    this.#ropes.release()
    this.#adapters?.release()
    if (this.#idle !== undefined) for (const buffer of [this.#idle.key, this.#idle.value]) this.#heap.free(buffer)
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }

  #run(batch: BufferBatch, rope: RopeTensors): void {
    const { rows, tokens, prompts } = batch
    const table = this.#ropes.get(rope)
    const adapter = batch.adapter && this.#adapters!.get(batch.adapter)
    this.#check(batch, table)
    const size = this.#sizeOf(rows.length)
    const { start, end, client } = batch
    const form = { rows: size, adapted: adapter !== undefined, prompted: prompts !== undefined }
    const session = this.#sessions.get({ start, end, client, ...form })
    const bind = (): BoundRun => this.#bind(session, batch, { size, table, adapter })
    this.#step.write(batch, size)
    if (tokens > 1 || prompts !== undefined) {
      using run = bind()
      run.run()
    } else {
      const key = `${rows.map(({ id }) => id).join()}:${table.id}:${adapter?.id}`
      session.bound.get(key, bind).run()
    }
    this.#step.read(batch.output)
  }

  #check({ rows, pastLengths, start, end, tokens }: BufferBatch, table: BufferRope): void {
    for (const [i, row] of rows.entries()) {
      const total = pastLengths[i]! + tokens
      for (let block = start; block < end; block++) row.block(block, total)
      if (table.tables.length > 0 && total > table.positions)
        throw new RangeError(`a run reaches position ${total}, its rotary table has ${table.positions}`)
    }
  }

  /** The smallest power of two. */
  #sizeOf(rows: number): number {
    const size = 2 ** Math.ceil(Math.log2(rows))
    if (size <= this.#maxRows) return size
    throw new RangeError(`a run of ${rows} rows: ${this.#maxRows} are most`)
  }

  #bind(session: BufferSession, batch: BufferBatch, { size, table, adapter }: OnDevice): BoundRun {
    const { hiddenSize } = this.#span
    const scope = new TensorScope(this.#env.ort)
    try {
      const hiddenShape = [size, batch.tokens, hiddenSize]
      const inputs = [
        ...this.#shared(batch, size, table, scope),
        ...this.#matrices(batch, adapter, scope),
        ...this.#prompts(batch, scope),
        ['hidden', this.#onDevice(scope, hiddenShape, this.#step.input)] as const,
      ]
      const outputs: Bound[] = [['output', this.#onDevice(scope, hiddenShape, this.#step.output)]]
      for (const { block, row, buffers } of this.#caches(batch, size)) {
        const nameOf = (name: string) => nameInCopy(block, ofRow(name, row))
        const shape = [1, this.#span.kvHeads, buffers.capacity, this.#span.cacheHeadDim]
        for (const part of ['key', 'value'] as const) {
          const value = this.#onDevice(scope, shape, buffers[part])
          inputs.push([nameOf(`past_${part}`), value])
          outputs.push([nameOf(`present_${part}`), value])
        }
        if (!session.inputs.has(nameOf('slots'))) continue
        const slots = this.#step.slots(buffers.capacity)
        inputs.push([nameOf('slots'), scope.wrap(this.#memory, 'int64', [buffers.capacity], slots)])
      }
      const taken = inputs.filter(([name]) => session.inputs.has(name))
      return new BoundRun(this.#env.ort, session.pointer, scope, taken, outputs)
    } catch (error) {
      scope[Symbol.dispose]()
      throw error
    }
  }

  /** What all blocks take. */
  #shared({ tokens }: BufferBatch, size: number, table: BufferRope, scope: TensorScope): Bound[] {
    const { lengths, positions, totals } = this.#step
    const ropes = table.tables.flatMap(({ cos, sin, width }, i): Bound[] => [
      [ropeInputs(i).cos, this.#onDevice(scope, [table.positions, width], cos)],
      [ropeInputs(i).sin, this.#onDevice(scope, [table.positions, width], sin)],
    ])
    const ofRows = totals
      .slice(0, size)
      .map((total, row): Bound => [ofRow('total_sequence_length', row), scope.wrap(this.#cpu, 'int32', [1], total)])
    return [
      ['seqlens_k', scope.wrap(this.#memory, 'int32', [size], lengths)],
      ['position_ids', scope.wrap(this.#memory, 'int64', [size, tokens], positions)],
      ...ropes,
      ...ofRows,
    ]
  }

  #matrices({ start, end }: BufferBatch, adapter: BufferAdapter | undefined, scope: TensorScope): Bound[] {
    const blocks = adapter?.blocks.slice(start, end) ?? []
    return blocks.flatMap((block, i) =>
      block.map(({ input, shape, buffer }): Bound => [nameInCopy(i, input), this.#onDevice(scope, shape, buffer)]),
    )
  }

  #prompts({ prompts, start, end, tokens, input }: BufferBatch, scope: TensorScope): Bound[] {
    if (prompts === undefined) return []
    return Array.from({ length: end - start }, (_, i): Bound => {
      const added = promptsOfBlock(prompts, i, tokens, input.byteLength / tokens)
      const buffer = this.#step.writePrompts(i, added, tokens)
      return [nameInCopy(i, 'prompts'), this.#onDevice(scope, [1, tokens, this.#span.hiddenSize], buffer)]
    })
  }

  /** Of each block of the run and each row, where its keys and values lie. */
  *#caches({ rows, pastLengths, start, end, tokens }: BufferBatch, size: number) {
    for (let block = 0; block < end - start; block++)
      for (let row = 0; row < size; row++) {
        const own = rows[row]?.block(start + block, pastLengths[row]! + tokens)
        yield { block, row, buffers: own ?? this.#idleBuffers() }
      }
  }

  #onDevice(scope: TensorScope, shape: readonly number[], buffer: Pointer): Pointer {
    return scope.wrap(this.#memory, this.#span.dtype, shape, buffer)
  }

  #idleBuffers(): BlockBuffers {
    this.#idle ??= this.#allocateIdle()
    return this.#idle
  }

  #allocateIdle(): BlockBuffers {
    const bytes = IDLE_CAPACITY * cacheBytes(this.#span)
    const key = this.#heap.allocate(bytes)
    return { key, value: this.#heap.allocate(bytes), capacity: IDLE_CAPACITY }
  }
}
