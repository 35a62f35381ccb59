import { PetalsError, TimeoutError } from '../base/errors.ts'
import type { ModelConfig } from '../checkpoint/config/config.ts'
import { convertInPieces } from '../tensor/convert.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Adapters } from './adapters/adapters.ts'
import type { BlockRange } from './cache/kv-cache.ts'
import { checkHidden, checkPrompts, checkSessionLength, checkSpan } from './session/limits.ts'
import { promptsOfStep } from './run/deep-prompts.ts'
import type { EngineThread } from './thread/engine-thread.ts'

/** Blocks `start` to `end` of the model, which must lie within the engine's span. */
export interface ForwardPassOptions extends BlockRange {
  /** Name of the adapter that it goes through. */
  readonly adapter?: string | undefined
  /** [end - start, positions, hidden]: what is added to each block's input at the first positions of every sequence. */
  readonly prompts?: Tensor | undefined
  /** Who it computes for: turns are fair between clients. */
  readonly client?: string | undefined
  /** The pass is given up when it is not done by then. */
  readonly timeoutMs: number
  /** Ends it at once; the pass rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface ForwardPassModules {
  readonly config: ModelConfig
  readonly dtype: FloatDType
  readonly span: BlockRange
  readonly adapters: Adapters
  readonly thread: EngineThread
}

/**
 * The blocks' output for whole sequences, `hidden` [sequences, tokens, hidden], whose buffer is taken over; in the same
 * shape. Takes nothing of the cache and waits behind inference. Throws `TENSOR_SHAPE`, `TENSOR_DTYPE`,
 * `SPAN_NOT_HELD`, `SESSION_TOO_LONG`, `TIMEOUT`, as `Adapters.acquire`, and what the device run threw.
 */
export async function forwardPass(
  { config, dtype, span, adapters, thread }: ForwardPassModules,
  hidden: Tensor,
  { start, end, adapter, prompts, client = '', timeoutMs, signal }: ForwardPassOptions,
): Promise<Tensor> {
  checkSpan(span, { start, end })
  checkHidden(hidden, 3, { dtype, hiddenSize: config.hiddenSize })
  const [sequences = 0, tokens = 0] = hidden.shape
  checkSessionLength(config, tokens)
  if (prompts !== undefined) checkPrompts(prompts, end - start, config.hiddenSize)
  const converted = prompts && (await convertInPieces(prompts, dtype))
  signal?.throwIfAborted()
  const use = adapter === undefined ? undefined : await adapters.acquire(adapter)
  try {
    signal?.throwIfAborted()
    const blocks = { start: start - span.start, end: end - span.start }
    const { output, cancel } = thread.compute(
      { kind: 'forward', client, ...blocks, sequences, tokens },
      {
        hidden: hidden.data,
        adapter: use?.range,
        prompts: promptsOfStep(converted, 0, tokens),
      },
    )
    const late = new TimeoutError(`a forward pass of ${sequences} sequences of ${tokens} tokens`, timeoutMs)
    const timer = setTimeout(() => cancel(late), timeoutMs)
    const onAbort = (): void => cancel(reasonOf(signal))
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return tensor(hidden.dtype, hidden.shape, await output)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  } finally {
    use?.release()
  }
}

/** Why a signal was aborted, as an error. */
export function reasonOf(signal: AbortSignal | undefined): Error {
  const { reason } = signal ?? {}
  return reason instanceof Error ? reason : new PetalsError('SESSION_CLOSED', 'the caller went away')
}
