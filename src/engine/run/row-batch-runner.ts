import type { RankRange } from '../adapters/adapter-memory.ts'
import type { SequenceId } from '../cache/kv-cache.ts'
import type { RowCache } from '../cache/rows/row-cache.ts'
import type { Row } from '../cache/rows/row.ts'
import type { PreparedTraining } from '../loading/prepare-training.ts'
import type { Batch, CacheStep, DecodeBatch, Pass, PrefillChunk, Work } from '../schedule/work.ts'
import { BackwardRun } from './backward-run.ts'
import type { BatchRunner, DeviceRun, RunOutcome, SequenceTraits, TaskInput } from './batch-runner.ts'
import { type DecodeRun, type ReadyRow, planDecodeRuns } from './decode-runs.ts'
import { promptsFrom } from './deep-prompts.ts'
import { failingRun } from './failing-run.ts'
import { ForwardRun } from './forward-run.ts'
import type { RopeTables } from './rope-tables.ts'
import type { RowBatch } from './row-batch.ts'
import { type BucketOptions, widenToBucket } from './row-bucket.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'
import { type PassRun, type Task, Tasks } from './tasks.ts'
import type { TrainingRunner } from './training-runner.ts'

export interface RowRunnerLimits {
  /** Most rows of one decode run. */
  readonly maxBatchRows: number
  /** Most tokens of one piece of a pass. */
  readonly passPieceTokens: number
  /** Where decode runs are widened to buckets of rows that recorded steps exist for. */
  readonly buckets?: BucketOptions | undefined
}

export interface RowRunnerModules {
  readonly span: RunnerSpan
  readonly runner: Runner
  readonly cache: RowCache
  readonly ropes: RopeTables
  readonly createTraining: (prepared: PreparedTraining) => TrainingRunner
}

interface Sequence {
  readonly ropeKey: string
  readonly adapter: RankRange | undefined
}

interface ReadyStep extends ReadyRow {
  readonly step: CacheStep
}

/** Runs batches on a cache of rows: rows that lie side by side are bound in place as one batch. */
export class RowBatchRunner implements BatchRunner {
  readonly #modules: RowRunnerModules
  readonly #limits: RowRunnerLimits
  readonly #sequences = new Map<SequenceId, Sequence>()
  readonly #tasks = new Tasks()
  /** Once it has been asked for. */
  #training: TrainingRunner | undefined
  /** Inputs and outputs of runs of several rows. */
  #scratch: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)]

  constructor(modules: RowRunnerModules, limits: RowRunnerLimits) {
    this.#modules = modules
    this.#limits = limits
  }

  open(sequence: SequenceId, { maxLength, adapter }: SequenceTraits): void {
    const { cache, ropes } = this.#modules
    const ropeKey = ropes.acquire(maxLength, cache.rowOf(sequence).capacity)
    this.#sequences.set(sequence, { ropeKey, adapter })
  }

  close(sequence: SequenceId): void {
    this.#modules.ropes.release(this.#sequences.get(sequence)!.ropeKey)
    this.#sequences.delete(sequence)
  }

  train(prepared: PreparedTraining): void {
    if (this.#training === undefined) this.#training = this.#modules.createTraining(prepared)
    else this.#training.add(prepared)
  }

  accept(work: Work, input: TaskInput): void {
    this.#tasks.accept(work, input)
  }

  prepare(batch: Batch): readonly DeviceRun[] {
    switch (batch.kind) {
      case 'decode':
        return this.#prepareDecode(batch)
      case 'prefill':
        return [this.#prepareChunk(batch)]
      case 'pass':
        return [this.#preparePiece(batch.pass)]
    }
  }

  take(taskId: number): Uint8Array {
    return this.#tasks.take(taskId)
  }

  drop(taskId: number): void {
    this.#tasks.drop(taskId)
  }

  shutDown(): void {
    this.#tasks.dropAll()
    this.#training?.close()
    this.#modules.runner.close()
  }

  #prepareDecode({ steps }: DecodeBatch): DeviceRun[] {
    const refused: DeviceRun[] = []
    const ready: ReadyStep[] = []
    for (const step of steps) {
      try {
        ready.push(this.#ready(step))
      } catch (error) {
        refused.push(failingRun(step, error))
      }
    }
    return [...refused, ...this.#planRuns(ready).map((run) => this.#decodeRun(run))]
  }

  /** Makes a step's place ready for it. Throws `SESSION_POSITION`. */
  #ready(step: CacheStep): ReadyStep {
    const { cache } = this.#modules
    const { sequence, position, tokens } = step
    if (cache.lengthOf(sequence) !== position) cache.truncate(sequence, position)
    cache.slide(sequence, tokens, step)
    const { start, end } = step
    return { step, start, end, ...cache.rowOf(sequence), ropeKey: this.#sequences.get(sequence)!.ropeKey }
  }

  #planRuns(ready: readonly ReadyStep[]): DecodeRun<ReadyStep>[] {
    const { maxBatchRows: maxRows, buckets } = this.#limits
    const bridgeable = (offset: number, capacity: number) => this.#modules.cache.mayWriteIdly(offset, capacity)
    if (buckets === undefined) return planDecodeRuns(ready, maxRows, bridgeable)
    const tokensAt = (offset: number) => this.#modules.cache.lengthAt(offset)
    const limits = { ...buckets, maxRows, bridgeable, idle: { tokensAt, runTokens: buckets.runTokens } }
    return planDecodeRuns(ready, maxRows, bridgeable, limits.idle).map((run) => widenToBucket(run, limits))
  }

  #decodeRun({ offset, capacity, rows }: DecodeRun<ReadyStep>): DeviceRun {
    const { cache } = this.#modules
    const steps = rows.flatMap((row) => (row === undefined ? [] : [row.step]))
    const [{ start, end, ropeKey }] = rows.filter((row) => row !== undefined) as [ReadyStep]
    const execute = (): RunOutcome => {
      const tasks = rows.map((row) => row && this.#tasks.get(row.step.taskId))
      const [input, output] = this.#gather(tasks)
      const adapters = rows.map((row) => row && this.#sequences.get(row.step.sequence)!.adapter)
      const pastLengths = rows.map((row, i) => row?.step.position ?? cache.lengthAt(offset + i * capacity))
      const places = rows.map((_, i) => ({ offset: offset + i * capacity, capacity }))
      const batch = { offset, capacity, start, end, tokens: 1, pastLengths, input, output, client: steps[0]!.client }
      this.#run(
        { ...batch, ...this.#memoryOf(places), adapters: adapters.some(Boolean) ? adapters : undefined },
        ropeKey,
      )
      for (const step of steps) cache.append(step.sequence, 1)
      scatter(output, tasks)
      return { tokens: 1, finished: true }
    }
    return { works: steps, execute }
  }

  /** Where a run of these tasks' rows reads and writes: one task's own buffers, or room for all, idle rows included. */
  #gather(tasks: readonly (Task | undefined)[]): [input: Uint8Array, output: Uint8Array] {
    const [first] = tasks.filter((task) => task !== undefined) as [Task]
    if (tasks.length === 1) return [first.input.hidden, first.output]
    const rowBytes = first.output.byteLength
    const bytes = tasks.length * rowBytes
    if (this.#scratch[0].byteLength < bytes) this.#scratch = [new Uint8Array(bytes), new Uint8Array(bytes)]
    const [input, output] = this.#scratch.map((buffer) => buffer.subarray(0, bytes)) as [Uint8Array, Uint8Array]
    for (const [i, task] of tasks.entries()) {
      if (task === undefined) input.fill(0, i * rowBytes, (i + 1) * rowBytes)
      else input.set(task.input.hidden, i * rowBytes)
    }
    return [input, output]
  }

  #prepareChunk({ step, first, tokens }: PrefillChunk): DeviceRun {
    const { cache } = this.#modules
    const { taskId, sequence, start, end } = step
    const execute = (): RunOutcome => {
      const { row, ropeKey, adapter } = this.#placeChunk({ ...step, position: step.position + first, tokens })
      const { input, output } = this.#tasks.get(taskId)
      const hiddenBytes = output.byteLength / step.tokens
      const [from, until] = [first * hiddenBytes, (first + tokens) * hiddenBytes]
      const batch: RowBatch = {
        ...row,
        ...this.#memoryOf([row]),
        start,
        end,
        tokens,
        pastLengths: [step.position + first],
        input: input.hidden.subarray(from, until),
        output: output.subarray(from, until),
        adapters: adapter && [adapter],
        prompts: promptsFrom(input.prompts, first),
        client: step.client,
      }
      this.#run(batch, ropeKey)
      cache.append(sequence, tokens)
      return { tokens, finished: first + tokens === step.tokens }
    }
    return { works: [step], execute }
  }

  #placeChunk(step: CacheStep): Sequence & { readonly row: Row } {
    this.#ready(step)
    return { ...this.#sequences.get(step.sequence)!, row: this.#modules.cache.rowOf(step.sequence) }
  }

  #preparePiece(pass: Pass): DeviceRun {
    const task = this.#tasks.get(pass.taskId)
    const execute = (): RunOutcome => {
      const run = (task.run ??= this.#begin(pass, task.input))
      const tokens = run.step()
      return { tokens, finished: run.isFinished }
    }
    return { works: [pass], execute }
  }

  #begin(pass: Pass, input: TaskInput): PassRun {
    const { runner, span, ropes } = this.#modules
    const { passPieceTokens: maxTokens } = this.#limits
    const key = ropes.acquire(pass.tokens, pass.tokens)
    const ofPass = { get: (positions: number) => ropes.get(key, positions), release: () => ropes.release(key) }
    try {
      if (pass.kind === 'forward') return new ForwardRun(runner, span, { pass, input, ropes: ofPass, maxTokens })
      return new BackwardRun({ runner, training: this.#training!, span, ropes: ofPass }, { pass, input, maxTokens })
    } catch (error) {
      ofPass.release()
      throw error
    }
  }

  #memoryOf(rows: readonly Row[]): Pick<RowBatch, 'memory' | 'bases'> {
    const { cache } = this.#modules
    return { memory: cache.memory, bases: cache.basesOf(rows) }
  }

  #run(batch: RowBatch, ropeKey: string): void {
    const { runner, ropes } = this.#modules
    runner.run(batch, ropes.get(ropeKey, Math.max(...batch.pastLengths) + batch.tokens))
  }
}

/** Gives each task its row of what a run has given; a single one has it already. */
function scatter(output: Uint8Array, tasks: readonly (Task | undefined)[]): void {
  if (tasks.length === 1) return
  const rowBytes = output.byteLength / tasks.length
  for (const [i, task] of tasks.entries()) task?.output.set(output.subarray(i * rowBytes, (i + 1) * rowBytes))
}
