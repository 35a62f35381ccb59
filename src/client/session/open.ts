import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { checkPrompts, checkSessionLength } from '../../engine/session/limits.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { type ActiveAdapter, requestAdapter } from '../remote/request-adapter.ts'
import type { SwarmAccess } from './chain.ts'
import { InferenceSession } from './inference-session.ts'

export interface SessionOptions {
  /** Tokens of prompt and answer together. */
  readonly maxLength: number
  /**
   * Boundaries that the chain of servers must have, as numbers of blocks of the whole model; otherwise the router
   * chooses.
   */
  readonly cuts?: readonly number[] | undefined
  /**
   * Deep prompts, float32 [blocks, positions, hidden]: what is added to the input of each of the session's blocks at
   * the first positions (Li and Liang, "Prefix-Tuning", in the form of P-Tuning v2 that Petals has).
   */
  readonly prompts?: Tensor | undefined
  /**
   * The name of an adapter that servers hold, or an own one, which is brought to them; the model's own where left out.
   */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** How long a server may let the session wait for cache; 60 s unless told. */
  readonly allocTimeoutMs?: number
  /** What copies of spans' inputs may take here, for repairs; 1 GiB unless told. */
  readonly replayMemoryBytes?: number
  /** How long a session looks for a way to go on before a step fails; 60 s unless told. */
  readonly recoveryTimeoutMs?: number
}

const ALLOC_TIMEOUT_MS = 60_000
const CONNECT_TIMEOUT_MS = 10_000
const REPLAY_MEMORY_BYTES = 1 << 30
const RECOVERY_TIMEOUT_MS = 60_000

/**
 * A late step is looked into after this long; a server that does not say what it is doing by then is taken for dead.
 */
const WATCHDOG = { deadlineMs: 500, answerMs: 2000 }

/**
 * A session over blocks `start` to `end`, opened on the servers at its first step. Throws `SESSION_TOO_LONG`,
 * `ADAPTER_MISFIT`.
 */
export function createInferenceSession(
  swarm: SwarmAccess,
  config: ModelConfig,
  { start, end }: { start: number; end: number },
  options: SessionOptions,
): InferenceSession {
  checkSessionLength(config, options.maxLength)
  if (options.prompts !== undefined) checkPrompts(options.prompts, end - start, config.hiddenSize)
  return new InferenceSession(swarm, {
    start,
    end,
    hiddenSize: config.hiddenSize,
    dtype: 'float32',
    maxLength: options.maxLength,
    cuts: options.cuts,
    prompts: options.prompts,
    adapter: options.activeAdapter === undefined ? undefined : requestAdapter(options.activeAdapter, config),
    allocTimeoutMs: options.allocTimeoutMs ?? ALLOC_TIMEOUT_MS,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    replayMemoryBytes: options.replayMemoryBytes ?? REPLAY_MEMORY_BYTES,
    recoveryTimeoutMs: options.recoveryTimeoutMs ?? RECOVERY_TIMEOUT_MS,
    watchdog: WATCHDOG,
  })
}
