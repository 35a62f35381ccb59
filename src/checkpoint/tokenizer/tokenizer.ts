import { Worker } from 'node:worker_threads'
import { PetalsError } from '../../base/errors.ts'
import { workerUrl } from '../../base/worker-url.ts'
import { CheckpointError, type CheckpointErrorCode } from '../errors.ts'
import type { TokenizerCall, TokenizerCalls, TokenizerMessage, TokenizerWorkerData } from './messages.ts'
import { TokenStream } from './token-stream.ts'

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * A checkpoint's tokenizer in a worker thread. Calls reject with `TOKENIZER_FAILED` where the worker cannot do them and
 * with `TOKENIZER_CLOSED` once it is closed. An idle tokenizer does not keep the process alive.
 */
export class Tokenizer {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #nextId = 0
  #ended: Error | undefined

  /** Resolves once the worker has read the folder's tokenizer. Rejects with a `CheckpointError` where it cannot. */
  static async load(folder: string): Promise<Tokenizer> {
    const workerData: TokenizerWorkerData = { folder }
    // Options of the process's own script, such as --eval's --input-type, make a worker fail.
    const worker = new Worker(workerUrl(import.meta.url, 'worker'), { workerData, execArgv: [] })
    try {
      const message = await firstMessage(worker)
      if (message.kind === 'ready') return new Tokenizer(worker)
      throw message.kind === 'unusable'
        ? new CheckpointError(message.code as CheckpointErrorCode, message.message)
        : failed(`the first message was ${message.kind}`)
    } catch (error) {
      await worker.terminate()
      throw error
    }
  }

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.unref()
    worker.on('message', (message: TokenizerMessage) => this.#settle(message))
    worker.on('error', (error) => this.#end(failed(error.message)))
    worker.on('exit', (exitCode) => this.#end(failed(`its worker has exited with code ${exitCode}`)))
  }

  /** Token ids of a text, by default with the special tokens that the tokenizer puts around it, e.g. a BOS. */
  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): Promise<number[]> {
    return this.#call('encode', { text, addSpecialTokens: options.addSpecialTokens ?? true })
  }

  /** The text of token ids, by default with the texts of special tokens. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): Promise<string> {
    return this.#call('decode', { ids, skipSpecialTokens: options.skipSpecialTokens ?? false })
  }

  /** Decodes ids as they come; by default with the texts of special tokens. */
  tokenStream(options: { readonly skipSpecialTokens?: boolean } = {}): TokenStream {
    const skipSpecialTokens = options.skipSpecialTokens ?? false
    return new TokenStream({
      advance: (state, ids) => this.#call('advance', { state, ids, skipSpecialTokens }),
      rest: (state) => this.#call('rest', { state, skipSpecialTokens }),
    })
  }

  /** Ends the worker; calls under way are rejected. May be called again. */
  async close(): Promise<void> {
    this.#end(new PetalsError('TOKENIZER_CLOSED', 'the tokenizer has been closed'))
    await this.#worker.terminate()
  }

  #call<K extends TokenizerCall>(kind: K, args: TokenizerCalls[K]['args']): Promise<TokenizerCalls[K]['result']> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<TokenizerCalls[K]['result']>()
    this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject })
    this.#worker.ref()
    this.#worker.postMessage({ id, kind, args }, [])
    return promise
  }

  #settle(message: TokenizerMessage): void {
    if (message.kind !== 'result' && message.kind !== 'error') return
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (this.#pending.size === 0) this.#worker.unref()
    if (message.kind === 'result') pending?.resolve(message.result)
    else pending?.reject(failed(message.message))
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#pending.values()) reject(this.#ended)
    this.#pending.clear()
  }
}

function firstMessage(worker: Worker): Promise<TokenizerMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<TokenizerMessage>()
  const onExit = (exitCode: number) => reject(failed(`its worker has exited with code ${exitCode}`))
  const onError = (error: Error) => reject(failed(error.message))
  worker.once('message', resolve).once('error', onError).once('exit', onExit)
  return promise.finally(() => worker.off('message', resolve).off('error', onError).off('exit', onExit))
}

function failed(reason: string): PetalsError {
  return new PetalsError('TOKENIZER_FAILED', `the tokenizer failed: ${reason}`)
}
