import { PetalsError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { checkPrompts, checkSessionLength } from '../../engine/session/limits.ts'
import { allFinite } from '../../tensor/finite.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { type ActiveAdapter, requestAdapter } from '../remote/adapters/active-adapter.ts'
import type { SwarmAccess } from '../remote/swarm-access.ts'
import { type WireChoice, checkWireChoice } from '../remote/routes/wire-dtype.ts'
import { InferenceSession } from './inference-session.ts'
import { PROCESS_REPLAY_MEMORY } from './inputs/replay-memory.ts'

/** Whether copies are pulled for repairs. */
export type ReplayCopies = 'auto' | 'off'

/** How a session is opened. */
export interface SessionOptions {
  /** The most tokens of prompt and answer together. */
  readonly maxLength: number
  /** Blocks, numbered in the whole model, at which the chain of servers must be cut; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  /**
   * Deep prompts, float32 [blocks, positions, hidden]: added to the input of each of the session's blocks at the first
   * positions (Li and Liang, "Prefix-Tuning", in the form of P-Tuning v2 that Petals uses).
   */
  readonly prompts?: Tensor | undefined
  /**
   * The adapter: the name of one that servers hold, or one of the client's own, which is uploaded to them. Default: the
   * model's `activeAdapter`.
   */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** How long a server may let the session wait for cache; 60 s by default. */
  readonly allocTimeoutMs?: number
  /**
   * Whether copies of spans' inputs are pulled from servers while nothing else goes over the links, for repairs; `auto`
   * by default. All sessions of a process keep 1 GiB of them. `off` saves the bytes: a repair then takes what servers
   * still keep, or computes a lost span's inputs again.
   */
  readonly replayCopies?: ReplayCopies | undefined
  /**
   * The form in which hidden states travel: float32, float16, bfloat16 or int8 by blocks of 32; `auto` by default, the
   * dtype of each server's arithmetic, which servers that do not know the form stay at.
   */
  readonly wireDType?: WireChoice | undefined
  /** How long a session tries to go on before a step fails; 60 s by default. */
  readonly recoveryTimeoutMs?: number | undefined
  /**
   * The most time for one step, 300 s by default, as in Petals. Sooner, after several times what it should take, the
   * server at which it rests is given up.
   */
  readonly stepTimeoutMs?: number | undefined
}

const ALLOC_TIMEOUT_MS = 60_000
const CONNECT_TIMEOUT_MS = 10_000
const RECOVERY_TIMEOUT_MS = 60_000

/** The bounds of a step's time, and when its servers are asked what they are doing. */
const WATCHDOG = { lateMs: 500, answerMs: 2000, minStepMs: 20_000 }
const STEP_TIMEOUT_MS = 300_000

/**
 * A session over blocks `start` to `end`. Servers open it at its first step. Throws `SESSION_TOO_LONG`,
 * `ADAPTER_MISFIT`, `TENSOR_SHAPE` and `TENSOR_NONFINITE` for prompts that cannot be, or `USAGE` for an unknown
 * `wireDType`.
 */
export function createInferenceSession(
  swarm: SwarmAccess,
  config: ModelConfig,
  { start, end }: { start: number; end: number },
  options: SessionOptions,
): InferenceSession {
  checkSessionLength(config, options.maxLength)
  checkWireChoice(options.wireDType ?? 'auto')
  if (options.prompts !== undefined) {
    checkPrompts(options.prompts, end - start, config.hiddenSize)
    if (!allFinite(options.prompts))
      throw new PetalsError('TENSOR_NONFINITE', 'NaN or infinite values are among the deep prompts')
  }
  const stepTimeoutMs = options.stepTimeoutMs ?? STEP_TIMEOUT_MS
  return new InferenceSession(swarm, {
    start,
    end,
    hiddenSize: config.hiddenSize,
    maxLength: options.maxLength,
    wireDType: options.wireDType ?? 'auto',
    cuts: options.cuts,
    prompts: options.prompts,
    adapter: options.activeAdapter === undefined ? undefined : requestAdapter(options.activeAdapter, config),
    allocTimeoutMs: options.allocTimeoutMs ?? ALLOC_TIMEOUT_MS,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    pullsCopies: options.replayCopies !== 'off',
    replayMemory: PROCESS_REPLAY_MEMORY,
    recoveryTimeoutMs: options.recoveryTimeoutMs ?? RECOVERY_TIMEOUT_MS,
    watchdog: { ...WATCHDOG, minStepMs: Math.min(WATCHDOG.minStepMs, stepTimeoutMs), stepTimeoutMs },
  })
}
