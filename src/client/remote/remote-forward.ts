import { PetalsError, isTransient } from '../../base/errors.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { newTrace } from '../../swarm/node/trace.ts'
import { convert } from '../../tensor/convert.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { RouteFinder } from './candidates.ts'
import type { RequestAdapter } from './request-adapter.ts'
import { findRouteAround, type RouteSpan } from './routing.ts'
import type { SwarmAccess } from '../session/chain.ts'

/** The part of the swarm that forward passes use. */
export interface ForwardAccess extends Pick<
  SwarmAccess,
  'modelKey' | 'peerId' | 'records' | 'route' | 'refresh' | 'avoided' | 'avoid'
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
}

const ATTEMPTS = 4
const CONNECT_TIMEOUT_MS = 10_000
const FORWARD_TIMEOUT_MS = 180_000

/**
 * Computes blocks `start` to `end` on whole sequences, `hidden` [batch, tokens, hidden], by one server after another;
 * returns the same shape. A server that fails is replaced. Throws `NO_ROUTE`, or the error of the last server that was
 * tried.
 */
export async function remoteForward(
  swarm: ForwardAccess,
  hidden: Tensor,
  { start, end, cuts = [], prompts, adapter }: RemoteForwardOptions,
): Promise<Tensor> {
  let output = hidden
  const bounds = [...cuts.filter((cut) => start < cut && cut < end), end]
  for (const [i, until] of bounds.entries()) {
    for (let block = bounds[i - 1] ?? start; block < until;) {
      const reached = await forwardOnce(
        swarm,
        output,
        block,
        until,
        prompts && sliceRows(prompts, block - start, end - start),
        adapter,
      )
      output = reached.output
      block = reached.end
    }
  }
  return output
}

async function forwardOnce(
  swarm: ForwardAccess,
  hidden: Tensor,
  start: number,
  end: number,
  prompts: Tensor | undefined,
  adapter: RequestAdapter | undefined,
): Promise<{ output: Tensor; end: number }> {
  for (let attempt = 1; ; attempt++) {
    const wanted = {
      start,
      end,
      tokens: hidden.shape[1] ?? 0,
      avoid: new Set<string>(),
      digests: new Map<number, string>(),
      ownPeer: swarm.peerId,
      adapter,
    }
    const find: RouteFinder = (records) => findRouteAround(records, wanted, swarm.avoided())
    const [span] = (await swarm.route?.(find)) ?? find(swarm.records())
    try {
      const name = await adapter?.provide(swarm, span!)
      const ofSpan = prompts && sliceRows(prompts, 0, span!.end - start)
      return { output: await request(swarm, span!, hidden, ofSpan, name), end: span!.end }
    } catch (error) {
      if (!isTransient(error) || attempt === ATTEMPTS) throw error
      swarm.avoid(span!.server.peerId)
      await swarm.refresh()
    }
  }
}

async function request(
  swarm: ForwardAccess,
  { server, start, end }: RouteSpan,
  hidden: Tensor,
  prompts: Tensor | undefined,
  adapter: string | undefined,
): Promise<Tensor> {
  const stream = await withDeadline(`dialling peer ${server.peerId}`, CONNECT_TIMEOUT_MS, undefined, (signal) =>
    swarm.open(server, 'forward', signal),
  )
  try {
    const { modelKey } = swarm
    await stream.send({ kind: 'forward', modelKey, start, end, trace: newTrace(), hidden, adapter, prompts })
    const answer = await stream.receive({ timeoutMs: FORWARD_TIMEOUT_MS })
    if (answer === null) throw new PetalsError('SESSION_REQUEST', `peer ${server.peerId} gave no output`)
    void stream.end()
    return convert(answer.hidden, hidden.dtype)
  } catch (error) {
    // Aborted, because after an orderly end the server would go on computing.
    stream.abort(error as Error)
    throw error
  }
}
