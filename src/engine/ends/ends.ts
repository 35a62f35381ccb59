import { EventEmitter, once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { PetalsError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { type Tensor, fromFloat32 } from '../../tensor/tensor.ts'
import { type ThreadOptions, attachEnvironment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { EndsRunner, type LoadedEnds } from './ends-runner.ts'
import { type SyncChannel, createSyncChannel, postSync } from '../thread/sync-channel.ts'

/** What the second end gives: logits, or hidden states after the last norm, without loading the head. */
export type EndsOutput = 'logits' | 'hidden'

export interface EndsOptions extends ThreadOptions {
  readonly checkpoint: Checkpoint
  /** `logits` unless told. */
  readonly output?: EndsOutput
}

export type EndsCommand =
  | { readonly type: 'embed'; readonly taskId: number; readonly ids: BigInt64Array }
  | { readonly type: 'head'; readonly taskId: number; readonly hidden: Float32Array }
  | { readonly type: 'close' }

export type EndsEvent =
  | { readonly type: 'ready'; readonly environment: Pointer; readonly ends: LoadedEnds }
  | { readonly type: 'failed'; readonly taskId?: number | undefined; readonly code: string; readonly message: string }
  | { readonly type: 'done'; readonly taskId: number; readonly values: Float32Array; readonly seconds: number }

/** A few rows of a table: copying them takes less time than asking the thread. */
const INLINE_EMBED_TOKENS = 32

/** A head that is quicker than this does not hold up the caller's thread; heads that come together share a run. */
const INLINE_HEAD_SECONDS = 0.001
const BURST_MS = 1

/**
 * Both ends of a model, which a client computes itself, on the CPU in float32: token ids to the first block's input,
 * and the last block's output to logits. Only the embedding, the last norm and the head are loaded, in a thread of
 * their own; without the head the second end is the last norm alone. Event `run`: seconds of device time.
 */
export class ModelEnds extends EventEmitter<{ run: [number] }> {
  readonly hiddenSize: number
  readonly vocabSize: number
  /** Width of what `head` gives. */
  readonly outputSize: number
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #pending = new Map<
    number,
    { type: EndsCommand['type']; resolve: (values: Float32Array) => void; reject: (error: Error) => void }
  >()
  readonly #ready = Promise.withResolvers<void>()
  #runner: EndsRunner | undefined
  #headSeconds = Infinity
  #lastHeadAt = -Infinity
  #nextId = 1
  #failure: Error | undefined

  static async load(options: EndsOptions): Promise<ModelEnds> {
    const ends = new ModelEnds(options)
    await ends.#ready.promise
    return ends
  }

  private constructor(options: EndsOptions) {
    super()
    this.hiddenSize = options.checkpoint.config.hiddenSize
    this.vocabSize = options.checkpoint.config.vocabSize
    this.outputSize = options.output === 'hidden' ? this.hiddenSize : this.vocabSize
    this.#channel = createSyncChannel()
    this.#worker = startWorker(import.meta.url, 'ends-worker', {
      workerData: { ...options, receiver: this.#channel.receiver },
      transferList: [this.#channel.receiver.port],
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#channel.port.on('message', (event: EndsEvent) => this.#onEvent(event))
  }

  /** Hidden states [tokens, hidden] of token ids. Throws `TOKEN_ID` for an id outside of the vocabulary. */
  async embed(ids: readonly number[]): Promise<Tensor> {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= this.vocabSize)
    if (bad !== undefined)
      throw new PetalsError('TOKEN_ID', `token id ${bad}: this model knows ids 0 to ${this.vocabSize - 1}`)
    const rows = BigInt64Array.from(ids, BigInt)
    const taskId = this.#nextId++
    const values =
      ids.length <= INLINE_EMBED_TOKENS
        ? this.#here((runner) => runner.embed(rows))
        : await this.#post({ type: 'embed', taskId, ids: rows }, taskId)
    return fromFloat32(values, [ids.length, this.hiddenSize])
  }

  /** Logits [tokens, vocab] of hidden states [tokens, hidden] (float32); without a head these after the last norm. */
  async head(hidden: Float32Array): Promise<Float32Array> {
    const now = performance.now()
    const alone = this.#pending.size === 0 && now - this.#lastHeadAt > BURST_MS
    this.#lastHeadAt = now
    if (alone && hidden.length === this.hiddenSize && this.#headSeconds < INLINE_HEAD_SECONDS)
      return this.#here((runner) => runner.head(hidden))
    const taskId = this.#nextId++
    return this.#post({ type: 'head', taskId, hidden }, taskId)
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, 'exit')
    postSync(this.#channel, { type: 'close' } satisfies EndsCommand)
    this.#fail(new PetalsError('ENGINE_CLOSED', 'the model was closed'))
    await exited
    this.#runner?.close()
    this.#channel.port.close()
  }

  /** What takes less time than its hand-over to the thread and back. */
  #here(run: (runner: EndsRunner) => Float32Array): Float32Array {
    if (this.#failure !== undefined) throw this.#failure
    const began = performance.now()
    const values = run(this.#runner!)
    this.emit('run', (performance.now() - began) / 1000)
    return values
  }

  #post(command: EndsCommand, taskId: number): Promise<Float32Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const { promise, resolve, reject } = Promise.withResolvers<Float32Array>()
    this.#pending.set(taskId, { type: command.type, resolve, reject })
    postSync(this.#channel, command)
    return promise
  }

  #onEvent(event: EndsEvent): void {
    if (event.type === 'ready') {
      this.#runner = new EndsRunner(attachEnvironment(event.environment), event.ends)
      return this.#ready.resolve()
    }
    if (event.type === 'failed' && event.taskId === undefined)
      return this.#fail(new PetalsError(event.code, event.message))
    const task = this.#pending.get(event.taskId!)
    this.#pending.delete(event.taskId!)
    if (event.type === 'failed') {
      task?.reject(new PetalsError(event.code, event.message))
      return
    }
    if (task?.type === 'head') this.#headSeconds = event.seconds
    task?.resolve(event.values)
    this.emit('run', event.seconds)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#ready.reject(error)
    this.#ready.promise.catch(() => {})
    for (const task of this.#pending.values()) task.reject(error)
    this.#pending.clear()
  }
}
