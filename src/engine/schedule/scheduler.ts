import { errorCode, errorMessage } from '../../base/errors.ts'
import type { RankRange } from '../adapters/adapter-memory.ts'
import type { BatchPrompts } from '../run/deep-prompts.ts'
import { type DecodeRun, type ReadyRow, planDecodeRuns } from './batching.ts'
import type { Priority, RunReport, StepCommand, TaskResult } from '../thread/messages.ts'
import type { Row } from '../cache/row-allocator.ts'
import { widenToWindow } from '../run/row-window.ts'

/**
 * Adjacent rows of the cache, each with `tokens` new positions behind its `pastLengths`, through blocks `start` to
 * `end`.
 */
export interface Batch {
  readonly offset: number
  readonly capacity: number
  readonly start: number
  readonly end: number
  readonly tokens: number
  readonly pastLengths: readonly number[]
  readonly ropeKey: string
  /** [rows, tokens, hidden] in the span's dtype. */
  readonly input: Uint8Array
  readonly output: Uint8Array
  /** Of each row the ranks of its adapter, where any row has one. */
  readonly adapters?: readonly (RankRange | undefined)[] | undefined
  /** Of a batch of one row. */
  readonly prompts?: BatchPrompts | undefined
}

/** Whether one token fits behind a row's `length` as it lies there, without anything else of it being moved. */
export type RoomCheck = (row: Row, length: number) => boolean

/** What turns a batch into device runs; throws where the device fails, and then nothing of the batch counts as done. */
export type BatchRunner = (batch: Batch) => void

export interface SchedulerLimits {
  /** Most sequences in one decode run. */
  readonly maxBatchRows: number
  /** Tokens of one prefill chunk: what a decode step may have to wait for. */
  readonly prefillChunkTokens: number
  /** Bytes of one token's hidden state. */
  readonly hiddenBytes: number
  /** Cache tokens, where decode runs are widened to windows of rows that recorded steps exist for. */
  readonly windowCacheTokens?: number | undefined
}

interface RowState {
  readonly row: Row
  readonly ropeKey: string
  readonly adapter: RankRange | undefined
  /** Filled positions; what lies beyond may be overwritten at any time. */
  length: number
}

interface Task extends StepCommand {
  readonly output: Uint8Array
  done: number
}

interface ReadyTask extends ReadyRow {
  readonly task: Task
  readonly state: RowState
}

/**
 * Decides what runs next: all ready decode steps, batched; then one prefill chunk, taking turns among sessions; other
 * work only while no inference waits. It owns the queues and the rows' lengths and never looks into a tensor.
 */
export class Scheduler {
  readonly #run: BatchRunner
  readonly #limits: SchedulerLimits
  readonly #hasRoom: RoomCheck
  readonly #rows = new Map<number, RowState>()
  #decode: Task[] = []
  readonly #prefill: Task[] = []
  readonly #forward: Task[] = []

  constructor(run: BatchRunner, limits: SchedulerLimits, hasRoom: RoomCheck = () => true) {
    this.#run = run
    this.#limits = limits
    this.#hasRoom = hasRoom
  }

  get hasWork(): boolean {
    return this.#decode.length + this.#prefill.length + this.#forward.length > 0
  }

  open(rowId: number, row: Row, ropeKey: string, adapter?: RankRange): void {
    this.#rows.set(rowId, { row, ropeKey, adapter, length: 0 })
  }

  /** Where an open row lies. */
  rowOf(rowId: number): Row {
    return this.#rows.get(rowId)!.row
  }

  /** The row was computed elsewhere up to `length`. */
  setLength(rowId: number, length: number): void {
    const state = this.#rows.get(rowId)
    if (state !== undefined) state.length = length
  }

  /** Forgets the row and whatever still waits for it. */
  release(rowId: number): void {
    this.#rows.delete(rowId)
    this.#decode = this.#decode.filter((task) => task.rowId !== rowId)
    for (const queue of [this.#prefill, this.#forward]) {
      for (let i = queue.length - 1; i >= 0; i--) if (queue[i]!.rowId === rowId) queue.splice(i, 1)
    }
  }

  add(step: StepCommand): void {
    const task: Task = { ...step, output: new Uint8Array(step.tokens * this.#limits.hiddenBytes), done: 0 }
    if (step.priority === 'forward') this.#forward.push(task)
    else if (step.tokens === 1 && step.prompts === undefined) this.#decode.push(task)
    else this.#prefill.push(task)
  }

  /** One turn of the loop: a report per device run, as soon as it has ended. */
  *turn(): Generator<RunReport> {
    const ready = this.#decode.map((task) => this.#readyTask(task))
    this.#decode = []
    for (const run of this.#planRuns(ready)) yield this.#runDecode(run)
    if (this.#prefill.length > 0) yield this.#runChunk(this.#prefill, 'inference')
    else if (this.#forward.length > 0 && ready.length === 0) yield this.#runChunk(this.#forward, 'forward')
  }

  #planRuns(ready: readonly ReadyTask[]): DecodeRun<ReadyTask>[] {
    const { maxBatchRows: maxRows, windowCacheTokens: cacheTokens } = this.#limits
    const bridgeable = (offset: number, capacity: number): boolean => this.#bridgeable(offset, capacity)
    if (cacheTokens === undefined) return planDecodeRuns(ready, maxRows, bridgeable)
    return planDecodeRuns(ready, maxRows, bridgeable, maxRows).map((run) =>
      widenToWindow(run, { maxRows, cacheTokens, bridgeable }),
    )
  }

  #readyTask(task: Task): ReadyTask {
    const state = this.#rows.get(task.rowId)!
    return { task, state, ...state.row, start: task.start, end: task.end, ropeKey: state.ropeKey }
  }

  #bridgeable(offset: number, capacity: number): boolean {
    for (const { row, length } of this.#rows.values()) {
      if (row.offset >= offset + capacity || row.offset + row.capacity <= offset) continue
      // Another run of the same turn may add a token to it before.
      if (row.offset !== offset || row.capacity !== capacity || length + 1 >= capacity || !this.#hasRoom(row, length))
        return false
    }
    return true
  }

  #lengthAt(offset: number): number {
    for (const { row, length } of this.#rows.values()) if (row.offset === offset) return length
    return 0
  }

  #runDecode({ offset, capacity, rows }: DecodeRun<ReadyTask>): RunReport {
    const first = rows.find((row) => row !== undefined)!
    const { hiddenBytes } = this.#limits
    const single = rows.length === 1
    const input = single ? first.task.hidden : new Uint8Array(rows.length * hiddenBytes)
    const output = single ? first.task.output : new Uint8Array(rows.length * hiddenBytes)
    const pastLengths = rows.map((row, i) => row?.task.position ?? this.#lengthAt(offset + i * capacity))
    if (!single)
      rows.forEach((row, i) => {
        if (row !== undefined) input.set(row.task.hidden, i * hiddenBytes)
      })
    const { start, end, ropeKey } = first
    const carried = rows.flatMap((row, i) => (row === undefined ? [] : [{ ...row, i }]))
    const adapters = carried.some(({ state }) => state.adapter !== undefined)
      ? rows.map((row) => row?.state.adapter)
      : undefined
    const { seconds, failure } = this.#timed({
      offset,
      capacity,
      start,
      end,
      tokens: 1,
      pastLengths,
      ropeKey,
      input,
      output,
      adapters,
    })
    const results = carried.map(({ task, state, i }): TaskResult => {
      if (failure !== undefined) return { taskId: task.taskId, ...failure }
      state.length = task.position + 1
      return { taskId: task.taskId, output: output.subarray(i * hiddenBytes, (i + 1) * hiddenBytes) }
    })
    return {
      type: 'run',
      kind: 'decode',
      priority: 'inference',
      rows: carried.length,
      tokens: carried.length,
      seconds,
      results,
    }
  }

  #runChunk(queue: Task[], priority: Priority): RunReport {
    const task = queue.shift()!
    const state = this.#rows.get(task.rowId)!
    const { hiddenBytes, prefillChunkTokens } = this.#limits
    const tokens = Math.min(prefillChunkTokens, task.tokens - task.done)
    const past = task.position + task.done
    const from = task.done * hiddenBytes,
      to = (task.done + tokens) * hiddenBytes
    const { seconds, failure } = this.#timed({
      ...state.row,
      start: task.start,
      end: task.end,
      tokens,
      pastLengths: [past],
      ropeKey: state.ropeKey,
      adapters: state.adapter && [state.adapter],
      input: task.hidden.subarray(from, to),
      output: task.output.subarray(from, to),
      prompts:
        task.prompts !== undefined && task.done < task.prompts.tokens
          ? { ...task.prompts, first: task.done }
          : undefined,
    })
    const results: TaskResult[] = []
    if (failure === undefined) {
      task.done += tokens
      state.length = past + tokens
      if (task.done === task.tokens) results.push({ taskId: task.taskId, output: task.output })
      else queue.push(task)
    } else {
      results.push({ taskId: task.taskId, ...failure })
    }
    return { type: 'run', kind: 'prefill', priority, rows: 1, tokens, seconds, results }
  }

  #timed(batch: Batch): { seconds: number; failure?: { code: string; message: string } } {
    const began = performance.now()
    try {
      this.#run(batch)
      return { seconds: (performance.now() - began) / 1000 }
    } catch (error) {
      return {
        seconds: (performance.now() - began) / 1000,
        failure: { code: errorCode(error), message: errorMessage(error) },
      }
    }
  }
}
