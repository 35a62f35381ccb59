import { EventEmitter, once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { PetalsError } from '../base/errors.ts'
import { workerUrl } from '../base/worker-url.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { type Tensor, fromFloat32 } from '../tensor/tensor.ts'
import type { ThreadOptions } from '../runtime/environment.ts'
import { type SyncChannel, createSyncChannel, postSync } from './sync-channel.ts'

export interface EndsOptions extends ThreadOptions {
  readonly checkpoint: Checkpoint
}

export type EndsCommand =
  | { readonly type: 'embed', readonly taskId: number, readonly ids: BigInt64Array }
  | { readonly type: 'head', readonly taskId: number, readonly tokens: number, readonly hidden: Float32Array }
  | { readonly type: 'close' }

export type EndsEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'failed', readonly taskId?: number | undefined, readonly code: string, readonly message: string }
  | { readonly type: 'done', readonly taskId: number, readonly values: Float32Array, readonly seconds: number }

/**
 * Both ends of a model, which a client computes itself, on the CPU in float32: token ids to the first block's input, and
 * the last block's output to logits. Only the embedding, the last norm and the head are loaded, in a thread of their own.
 * Event `run`: seconds of device time.
 */
export class ModelEnds extends EventEmitter<{ run: [number] }> {
  readonly hiddenSize: number
  readonly vocabSize: number
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #pending = new Map<number, { resolve: (values: Float32Array) => void, reject: (error: Error) => void }>()
  readonly #ready = Promise.withResolvers<void>()
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
    this.#channel = createSyncChannel()
    this.#worker = new Worker(workerUrl(import.meta.url, 'ends-worker'), {
      workerData: { ...options, receiver: this.#channel.receiver }, transferList: [this.#channel.receiver.port], execArgv: [],
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#channel.port.on('message', (event: EndsEvent) => this.#onEvent(event))
  }

  /** Hidden states [tokens, hidden] of token ids. Throws `TOKEN_ID` for an id outside of the vocabulary. */
  async embed(ids: readonly number[]): Promise<Tensor> {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= this.vocabSize)
    if (bad !== undefined) throw new PetalsError('TOKEN_ID', `token id ${bad}: this model knows ids 0 to ${this.vocabSize - 1}`)
    const taskId = this.#nextId++
    const values = await this.#post({ type: 'embed', taskId, ids: BigInt64Array.from(ids, BigInt) }, taskId)
    return fromFloat32(values, [ids.length, this.hiddenSize])
  }

  /** Logits [tokens, vocab] of hidden states [tokens, hidden] (float32). */
  head(hidden: Float32Array): Promise<Float32Array> {
    const taskId = this.#nextId++
    return this.#post({ type: 'head', taskId, tokens: hidden.length / this.hiddenSize, hidden }, taskId)
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, 'exit')
    postSync(this.#channel, { type: 'close' } satisfies EndsCommand)
    this.#fail(new PetalsError('ENGINE_CLOSED', 'the model was closed'))
    await exited
    this.#channel.port.close()
  }

  #post(command: EndsCommand, taskId: number): Promise<Float32Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const { promise, resolve, reject } = Promise.withResolvers<Float32Array>()
    this.#pending.set(taskId, { resolve, reject })
    postSync(this.#channel, command)
    return promise
  }

  #onEvent(event: EndsEvent): void {
    if (event.type === 'ready') return this.#ready.resolve()
    if (event.type === 'failed' && event.taskId === undefined) return this.#fail(new PetalsError(event.code, event.message))
    const task = this.#pending.get(event.taskId!)
    this.#pending.delete(event.taskId!)
    if (event.type === 'failed') {
      task?.reject(new PetalsError(event.code, event.message))
      return
    }
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
