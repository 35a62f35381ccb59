import { EventEmitter } from 'node:events'
import { availableParallelism } from 'node:os'
import { pino } from 'pino'
import { UsageError } from '../base/errors.ts'
import { type Checkpoint, openCheckpoint } from '../checkpoint/checkpoint.ts'
import { modelKey } from '../checkpoint/fingerprint.ts'
import { Tokenizer } from '../checkpoint/tokenizer/tokenizer.ts'
import { ModelEnds } from '../engine/ends.ts'
import { checkSessionLength } from '../engine/session-limit.ts'
import type { SwarmLogger } from '../swarm/node.ts'
import { type Tensor, asFloat32, sliceRows } from '../tensor/tensor.ts'
import { type GenerationChunk, type GenerationResult, generate } from './generation/generate.ts'
import { type GenerationOptions, checkOptions } from './generation/options.ts'
import { remoteForward } from './remote-forward.ts'
import type { Link } from './session/chain.ts'
import { InferenceSession, type Recovery } from './session/inference-session.ts'
import { SwarmClient } from './swarm-client.ts'

export interface PretrainedOptions {
  /** Addresses, with `/p2p/`, of peers of the swarm. */
  readonly bootstrap: readonly string[]
  /** Instead of the key that follows from the checkpoint. */
  readonly dhtPrefix?: string | undefined
  /** Compute threads for embedding and head. */
  readonly threads?: number
  readonly spin?: boolean
  readonly logger?: SwarmLogger
}

export interface SessionOptions {
  /** Tokens of prompt and answer together. */
  readonly maxLength: number
  /** Boundaries that the chain of servers must have; otherwise the router chooses. */
  readonly cuts?: readonly number[] | undefined
  /** How long a server may let the session wait for cache. */
  readonly allocTimeoutMs?: number
  readonly replayMemoryBytes?: number
  readonly recoveryTimeoutMs?: number
}

/** `prompt`: text (needs a tokenizer) or token ids. */
export type Prompt = string | readonly number[]

const ALLOC_TIMEOUT_MS = 60_000
const CONNECT_TIMEOUT_MS = 10_000
const REPLAY_MEMORY_BYTES = 1 << 30
const RECOVERY_TIMEOUT_MS = 60_000

/** A late step is looked into after this long; a server that does not say what it is doing by then is taken for dead. */
const WATCHDOG = { deadlineMs: 500, answerMs: 2000 }

/**
 * A causal language model whose blocks are computed by a swarm. Embedding and head are computed here, with only those
 * tensors loaded. Events: `route` and `recovery` of its sessions.
 */
export class AutoDistributedModelForCausalLM extends EventEmitter<{ route: [readonly Link[]], recovery: [Recovery] }> {
  readonly checkpoint: Checkpoint
  readonly swarm: SwarmClient
  readonly ends: ModelEnds
  readonly tokenizer: Tokenizer | undefined

  /** Loads both ends of the model in folder `model` and joins its swarm. Throws what is wrong with either; leaves nothing open. */
  static async fromPretrained(model: string, options: PretrainedOptions): Promise<AutoDistributedModelForCausalLM> {
    if (options.bootstrap.length === 0) throw new UsageError('a model needs the address of at least one peer of its swarm: bootstrap')
    const checkpoint = await openCheckpoint(model)
    const key = await modelKey(checkpoint, options.dhtPrefix)
    const threads = { threads: options.threads ?? availableParallelism(), spin: options.spin ?? false }
    const logger = options.logger ?? pino({ level: 'silent' })
    const opened = await Promise.allSettled([
      SwarmClient.connect({ bootstrap: options.bootstrap, modelKey: key, numBlocks: checkpoint.config.numBlocks, logger }),
      ModelEnds.load({ checkpoint, ...threads }),
      checkpoint.hasTokenizer ? Tokenizer.load(checkpoint.folder) : undefined,
    ] as const)
    const failed = opened.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      for (const result of opened) if (result.status === 'fulfilled') await result.value?.close()
      throw failed.reason as Error
    }
    const [swarm, ends, tokenizer] = opened.map((result) => (result as PromiseFulfilledResult<unknown>).value)
    return new AutoDistributedModelForCausalLM(checkpoint, swarm as SwarmClient, ends as ModelEnds, tokenizer as Tokenizer | undefined)
  }

  private constructor(checkpoint: Checkpoint, swarm: SwarmClient, ends: ModelEnds, tokenizer: Tokenizer | undefined) {
    super()
    this.checkpoint = checkpoint
    this.swarm = swarm
    this.ends = ends
    this.tokenizer = tokenizer
  }

  /** A session over all blocks; opened on the servers at its first step. Throws `SESSION_TOO_LONG`. */
  inferenceSession(options: SessionOptions): CausalLMSession {
    const { numBlocks, hiddenSize } = this.checkpoint.config
    checkSessionLength(this.checkpoint.config, options.maxLength)
    const session = new InferenceSession(this.swarm, {
      numBlocks, hiddenSize, dtype: 'float32', maxLength: options.maxLength, cuts: options.cuts,
      allocTimeoutMs: options.allocTimeoutMs ?? ALLOC_TIMEOUT_MS, connectTimeoutMs: CONNECT_TIMEOUT_MS,
      replayMemoryBytes: options.replayMemoryBytes ?? REPLAY_MEMORY_BYTES,
      recoveryTimeoutMs: options.recoveryTimeoutMs ?? RECOVERY_TIMEOUT_MS, watchdog: WATCHDOG,
    })
    session.on('route', (links) => this.emit('route', links))
    session.on('recovery', (recovery) => this.emit('recovery', recovery))
    return new CausalLMSession(this, session)
  }

  /** Generates token by token; the pieces of text add up to the result's. The generator returns the result. */
  async * stream(prompt: Prompt, options: GenerationOptions): AsyncGenerator<GenerationChunk, GenerationResult> {
    checkOptions(options)
    const ids = await this.encode(prompt)
    const session = this.inferenceSession({ maxLength: ids.length + options.maxNewTokens })
    try {
      return yield* session.generate(ids, options)
    } finally {
      await session.close()
    }
  }

  /** Generates to the end. */
  async generate(prompt: Prompt, options: GenerationOptions): Promise<GenerationResult> {
    const pieces = this.stream(prompt, options)
    for (;;) {
      const next = await pieces.next()
      if (next.done === true) return next.value
    }
  }

  /** The last block's output [batch, tokens, hidden] of whole sequences, `hidden` being block `start`'s input. */
  forward(hidden: Tensor, span: { start?: number, end?: number, cuts?: readonly number[] } = {}): Promise<Tensor> {
    const { start = 0, end = this.checkpoint.config.numBlocks, cuts } = span
    return remoteForward(this.swarm, hidden, { start, end, cuts })
  }

  /** Token ids of a prompt, as the checkpoint's tokenizer has them. Throws `USAGE` for text where there is none. */
  async encode(prompt: Prompt): Promise<number[]> {
    if (typeof prompt !== 'string') return [...prompt]
    if (this.tokenizer === undefined) {
      throw new UsageError(`${this.checkpoint.folder} has no tokenizer.json: give the prompt as token ids`)
    }
    return this.tokenizer.encode(prompt)
  }

  async close(): Promise<void> {
    await Promise.all([this.swarm.close(), this.ends.close(), this.tokenizer?.close()])
  }
}

/** A session of a causal language model: takes token ids or hidden states, gives hidden states or logits. */
export class CausalLMSession {
  readonly blocks: InferenceSession
  readonly #model: AutoDistributedModelForCausalLM

  constructor(model: AutoDistributedModelForCausalLM, blocks: InferenceSession) {
    this.#model = model
    this.blocks = blocks
  }

  /** Tokens in the caches; set it to go on from an earlier one. */
  get position(): number {
    return this.blocks.position
  }

  set position(position: number) {
    this.blocks.position = position
  }

  /** Feeds token ids, or hidden states [tokens, hidden]; returns the last block's output [tokens, hidden]. */
  async step(input: readonly number[] | Tensor): Promise<Tensor> {
    return this.blocks.step('shape' in input ? input : await this.#model.ends.embed(input))
  }

  /** Feeds token ids; returns the logits [vocab] after the last of them. */
  async next(ids: readonly number[]): Promise<Float32Array> {
    const hidden = await this.step(ids)
    const tokens = hidden.shape[0]!
    return this.#model.ends.head(asFloat32(sliceRows(hidden, tokens - 1, tokens)).slice())
  }

  /** Feeds a prompt behind what the session holds, and generates on from there. */
  generate(promptIds: readonly number[], options: GenerationOptions): AsyncGenerator<GenerationChunk, GenerationResult> {
    const { checkpoint, tokenizer } = this.#model
    const eosTokenIds = options.eosTokenIds ?? checkpoint.generation.eosTokenIds
    return generate(this, promptIds, { ...options, eosTokenIds }, tokenizer?.tokenStream({ skipSpecialTokens: true }))
  }

  close(): Promise<void> {
    return this.blocks.close()
  }
}
