import { PetalsError, TimeoutError, isTransient } from '../../base/errors.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { newTrace } from '../../swarm/node/trace.ts'
import { type Activations, activationBytes, travelDType } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { allFinite } from '../../tensor/finite.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { RouteFinder } from './candidates.ts'
import type { RequestAdapter } from './request-adapter.ts'
import { findRouteAround } from './routing.ts'
import { allowedStepMs } from './step-time.ts'
import type { RouteSpan } from './route-request.ts'
import { type WireChoice, agreedWireDType, answerDType, encodeOwn, passOn } from './wire-dtype.ts'
import type { SwarmAccess } from '../session/chain.ts'

/** The part of the swarm that forward passes use. */
export interface ForwardAccess extends Pick<
  SwarmAccess,
  'modelKey' | 'peerId' | 'records' | 'route' | 'refresh' | 'avoided' | 'avoid' | 'links'
> {
  open<R extends 'forward' | 'adapter'>(server: ServerRecord, rpc: R, signal: AbortSignal): Promise<RequestStream<R>>
}

/** Which blocks to compute, and how. */
export interface RemoteForwardOptions {
  readonly start: number
  readonly end: number
  /** Blocks at which the chain of servers must be cut; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  /**
   * Deep prompts [end - start, positions, hidden], added to each block's input at the first positions of every
   * sequence.
   */
  readonly prompts?: Tensor | undefined
  readonly adapter?: RequestAdapter | undefined
  /** The form in which hidden states are to travel; `auto` by default. */
  readonly wireDType?: WireChoice | undefined
  /** The most time for one server's part, 300 s by default. */
  readonly timeoutMs?: number | undefined
}

const ATTEMPTS = 4
const CONNECT_TIMEOUT_MS = 10_000

/** The bounds of the time that a server's part is given. */
const MIN_FORWARD_MS = 20_000
const FORWARD_TIMEOUT_MS = 300_000

/**
 * Computes blocks `start` to `end` on whole sequences, `hidden` [batch, tokens, hidden], by one server after another;
 * returns the same shape. A server that fails is replaced. Throws `NO_ROUTE`, or the error of the last server that was
 * tried.
 */
export async function remoteForward(
  swarm: ForwardAccess,
  hidden: Tensor,
  options: RemoteForwardOptions,
): Promise<Tensor> {
  const { start, end, cuts = [], prompts } = options
  if (!allFinite(hidden)) throw new PetalsError('TENSOR_NONFINITE', 'the hidden states hold NaN or infinite values')
  let output: Activations = hidden
  const bounds = [...cuts.filter((cut) => start < cut && cut < end), end]
  for (const [i, until] of bounds.entries()) {
    for (let block = bounds[i - 1] ?? start; block < until;) {
      const reached = await forwardOnce(
        swarm,
        output,
        block,
        until,
        prompts && sliceRows(prompts, block - start, end - start),
        options,
      )
      output = reached.output
      block = reached.end
    }
  }
  return decodeActivations(output, hidden.dtype as FloatDType)
}

async function forwardOnce(
  swarm: ForwardAccess,
  hidden: Activations,
  start: number,
  end: number,
  prompts: Tensor | undefined,
  { start: first, adapter, timeoutMs = FORWARD_TIMEOUT_MS, wireDType = 'auto' }: RemoteForwardOptions,
): Promise<{ output: Activations; end: number }> {
  const [batch = 0, tokens = 0] = hidden.shape
  const rows = batch * tokens
  const bytes = activationBytes(wireDType === 'auto' ? hidden.dtype : travelDType(wireDType), hidden.shape)
  const size = { tokens: rows, rowBytes: bytes / rows }
  const bounds = { minStepMs: Math.min(MIN_FORWARD_MS, timeoutMs), stepTimeoutMs: timeoutMs }
  for (let attempt = 1; ; attempt++) {
    const wanted = {
      start,
      end,
      tokens,
      avoid: new Set<string>(),
      digests: new Map<number, string>(),
      ownPeer: swarm.peerId,
      links: swarm.links,
      pass: { tokens: rows, bytes },
      adapter,
    }
    const find: RouteFinder = (records) => findRouteAround(records, wanted, swarm.avoided())
    const [span] = (await swarm.route?.(find)) ?? find(swarm.records())
    try {
      const name = await adapter?.provide(swarm, span!)
      const limitMs = allowedStepMs([span!], size, swarm.links, bounds)
      const ofSpan = prompts && sliceRows(prompts, 0, span!.end - start)
      const { server } = span!
      const isOwn = start === first
      const sent = await (isOwn ? encodeOwn(hidden as Tensor, server, wireDType) : passOn(hidden, server))
      return {
        output: await request(swarm, span!, sent, { prompts: ofSpan, adapter: name, limitMs, wireDType }),
        end: span!.end,
      }
    } catch (error) {
      if (!isTransient(error) || attempt === ATTEMPTS) throw error
      swarm.avoid(span!.server.peerId, error as Error)
      await swarm.refresh()
    }
  }
}

interface RequestOptions {
  readonly prompts: Tensor | undefined
  readonly adapter: string | undefined
  readonly limitMs: number
  readonly wireDType: WireChoice
}

async function request(
  swarm: ForwardAccess,
  { server, start, end }: RouteSpan,
  hidden: Activations,
  { prompts, adapter, limitMs, wireDType: choice }: RequestOptions,
): Promise<Activations> {
  const stream = await withDeadline(`dialling peer ${server.peerId}`, CONNECT_TIMEOUT_MS, undefined, (signal) =>
    swarm.open(server, 'forward', signal),
  )
  try {
    const { modelKey } = swarm
    const signal = AbortSignal.timeout(limitMs)
    const wireDType = agreedWireDType(server, choice)
    await stream.send(
      { kind: 'forward', modelKey, start, end, trace: newTrace(), hidden, adapter, prompts, wireDType },
      { signal },
    )
    const answer = await stream.receive({ signal }).catch((error: unknown) => {
      throw signal.aborted ? new TimeoutError(`peer ${server.peerId} gave no output`, limitMs) : error
    })
    if (answer === null) throw new PetalsError('SESSION_REQUEST', `peer ${server.peerId} gave no output`)
    checkOutput(server.peerId, answer.hidden, { shape: hidden.shape, dtype: answerDType(server, choice) })
    void stream.end()
    return answer.hidden
  } catch (error) {
    // Aborted, because after an orderly end the server would go on computing.
    stream.abort(error as Error)
    throw error
  }
}

/** Throws `SESSION_ANSWER` or `TENSOR_NONFINITE` for what cannot be the output that is due. */
function checkOutput(
  peerId: string,
  output: Activations,
  { shape, dtype }: { readonly shape: readonly number[]; readonly dtype: string },
): void {
  if (String(output.shape) !== String(shape) || output.dtype !== dtype) {
    const [found, expected] = [`${output.dtype} [${output.shape}]`, `${dtype} [${shape}]`]
    throw new PetalsError('SESSION_ANSWER', `peer ${peerId} gave a wrong answer: ${found} where ${expected} was due`)
  }
  if (!allFinite(output))
    throw new PetalsError('TENSOR_NONFINITE', `peer ${peerId} sent values that are NaN or infinite`)
}
