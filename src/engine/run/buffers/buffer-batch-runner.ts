import { PetalsError } from '../../../base/errors.ts'
import type { AdapterRanks } from '../../adapters/adapter-memory.ts'
import type { BufferCache } from '../../cache/buffers/buffer-cache.ts'
import type { SequenceId } from '../../cache/kv-cache.ts'
import type { Batch, CacheStep, DecodeBatch, Pass, PrefillChunk, Work } from '../../schedule/work.ts'
import type { BatchRunner, DeviceRun, RunOutcome, SequenceTraits, TaskInput } from '../batch-runner.ts'
import { promptsFrom } from '../deep-prompts.ts'
import { failingRun } from '../failing-run.ts'
import type { RopeTables } from '../rope-tables.ts'
import { type PassRun, Tasks } from '../tasks.ts'
import type { BufferBatch } from './buffer-batch.ts'
import { BufferForwardRun } from './buffer-forward-run.ts'
import { tablePositions } from './buffer-ropes.ts'
import type { BufferRunner } from './buffer-runner.ts'

export interface BufferBatchLimits {
  /** Most rows of one decode run. */
  readonly maxRows: number
  /** Most tokens of one piece of a pass. */
  readonly passPieceTokens: number
}

export interface BufferBatchModules {
  readonly runner: BufferRunner
  readonly cache: BufferCache
  readonly ropes: RopeTables
}

interface OpenSequence {
  readonly ropeKey: string
  readonly adapter: AdapterRanks | undefined
  readonly maxLength: number
}

/** Runs batches on a cache of buffers: any rows can be one run, wherever they lie. */
export class BufferBatchRunner implements BatchRunner {
  readonly #modules: BufferBatchModules
  readonly #limits: BufferBatchLimits
  readonly #sequences = new Map<SequenceId, OpenSequence>()
  readonly #tasks = new Tasks()

  constructor(modules: BufferBatchModules, limits: BufferBatchLimits) {
    this.#modules = modules
    this.#limits = limits
  }

  open(sequence: SequenceId, { maxLength, adapter }: SequenceTraits): void {
    const ropeKey = this.#modules.ropes.acquire(maxLength, maxLength)
    this.#sequences.set(sequence, { ropeKey, adapter, maxLength })
  }

  close(sequence: SequenceId): void {
    this.#modules.ropes.release(this.#sequences.get(sequence)!.ropeKey)
    this.#sequences.delete(sequence)
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

  /** Spans on such devices compute no gradients (`canTrain`). */
  train(): never {
    throw new PetalsError('TRAINING_OFF', 'this device computes no gradients')
  }

  shutDown(): void {
    this.#tasks.dropAll()
    this.#modules.runner.close()
    this.#modules.cache.close()
  }

  #prepareDecode({ steps }: DecodeBatch): DeviceRun[] {
    const refused: DeviceRun[] = []
    const ready: CacheStep[] = []
    for (const step of steps) {
      try {
        this.#makeRoom(step, step.position, 1)
        ready.push(step)
      } catch (error) {
        refused.push(failingRun(step, error))
      }
    }
    const { maxRows } = this.#limits
    const kinds = Map.groupBy(ready, ({ sequence, start, end }) => {
      const { ropeKey, adapter } = this.#sequences.get(sequence)!
      return `${start}:${end}:${adapter?.id}:${ropeKey}`
    })
    const runs = [...kinds.values()].flatMap((kind) => {
      // The same sequences in the same order: what was bound for them serves again.
      const inOrder = kind.toSorted((a, b) => a.sequence - b.sequence)
      return Array.from({ length: Math.ceil(kind.length / maxRows) }, (_, i) =>
        this.#decodeRun(inOrder.slice(i * maxRows, (i + 1) * maxRows)),
      )
    })
    return [...refused, ...runs]
  }

  /** Makes a sequence's place ready for so many tokens. Throws `SESSION_POSITION` and `RUNTIME_MEMORY`. */
  #makeRoom(step: CacheStep, position: number, tokens: number): void {
    const { cache } = this.#modules
    if (cache.lengthOf(step.sequence) !== position) cache.truncate(step.sequence, position)
    cache.slide(step.sequence, tokens, step)
  }

  #decodeRun(steps: readonly CacheStep[]): DeviceRun {
    const { cache } = this.#modules
    const [{ start, end, sequence, client }] = steps as [CacheStep]
    const { ropeKey, adapter } = this.#sequences.get(sequence)!
    const execute = (): RunOutcome => {
      const tasks = steps.map(({ taskId }) => this.#tasks.get(taskId))
      const rowBytes = tasks[0]!.output.byteLength
      const [input, output] = [new Uint8Array(steps.length * rowBytes), new Uint8Array(steps.length * rowBytes)]
      for (const [i, task] of tasks.entries()) input.set(task.input.hidden, i * rowBytes)
      const rows = steps.map((step) => cache.rowOf(step.sequence))
      const pastLengths = steps.map(({ position }) => position)
      const positions = Math.max(...pastLengths) + 1
      this.#run({ rows, pastLengths, start, end, tokens: 1, input, output, adapter, client }, ropeKey, positions)
      for (const step of steps) cache.append(step.sequence, 1)
      for (const [i, task] of tasks.entries()) task.output.set(output.subarray(i * rowBytes, (i + 1) * rowBytes))
      return { tokens: 1, finished: true }
    }
    return { works: steps, execute }
  }

  #prepareChunk({ step, first, tokens }: PrefillChunk): DeviceRun {
    const { cache } = this.#modules
    const { taskId, sequence, start, end } = step
    const { ropeKey, adapter } = this.#sequences.get(sequence)!
    const execute = (): RunOutcome => {
      const past = step.position + first
      this.#makeRoom(step, past, tokens)
      const { input, output } = this.#tasks.get(taskId)
      const hiddenBytes = output.byteLength / step.tokens
      const [from, until] = [first * hiddenBytes, (first + tokens) * hiddenBytes]
      const batch: BufferBatch = {
        rows: [cache.rowOf(sequence)],
        pastLengths: [past],
        start,
        end,
        tokens,
        input: input.hidden.subarray(from, until),
        output: output.subarray(from, until),
        adapter,
        prompts: promptsFrom(input.prompts, first),
        client: step.client,
      }
      this.#run(batch, ropeKey, past + tokens)
      cache.append(sequence, tokens)
      return { tokens, finished: first + tokens === step.tokens }
    }
    return { works: [step], execute }
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
    if (pass.kind === 'backward') return this.train()
    const { cache, ropes } = this.#modules
    const key = ropes.acquire(pass.tokens, pass.tokens)
    const modules = {
      row: cache.newRow(),
      run: (batch: BufferBatch, positions: number) => this.#run(batch, key, positions),
      release: () => ropes.release(key),
    }
    return new BufferForwardRun(modules, { pass, input, maxTokens: this.#limits.passPieceTokens })
  }

  #run(batch: BufferBatch, ropeKey: string, positions: number): void {
    const { runner, ropes } = this.#modules
    const room = ropes.get(ropeKey, 0).positions
    runner.run(batch, ropes.get(ropeKey, tablePositions(positions, room)))
  }
}
