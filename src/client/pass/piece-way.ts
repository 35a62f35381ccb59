import { errorCode } from '../../base/errors.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { RouteFinder } from '../remote/routes/candidates.ts'
import type { RouteRequest, RouteSpan } from '../remote/routes/route-request.ts'
import { findRouteAround } from '../remote/routes/routing.ts'
import {
  BACKWARD_FORWARDS,
  type StepSize,
  allowedStepMs,
  attentionShare,
  expectedStepSeconds,
} from '../remote/steps/step-time.ts'
import { UNKNOWN_BLOCK_SECONDS } from '../remote/seen/unknown.ts'
import type { Turn } from './lanes.ts'
import type { PassAccess } from './pass-access.ts'
import type { PassPart, PassPlan, PieceRange } from './pass-plan.ts'
import { type SpanGradients, type SpanRequest, requestBackward, requestForward } from './requests.ts'
import { AdapterLost, Retries } from './retries.ts'

/** The bounds of the time that a server's part is given. */
const MIN_FORWARD_MS = 20_000
const FORWARD_TIMEOUT_MS = 300_000
const BACKWARD_TIMEOUT_MS = 600_000

const RECOVERY_TIMEOUT_MS = 60_000

/** How often tensors of hidden states go over the link in a forward and in a backward pass. */
const FORWARD_CARRIES = 2
const BACKWARD_CARRIES = 3

/** What is to be computed of a piece. */
type Direction = 'forward' | 'backward'

/** The gradients of one piece with respect to what went into one span. */
export interface PartGradients extends SpanGradients {
  readonly part: PassPart
}

/**
 * One piece's way through servers, forward and backward: some sequences of a batch, carried by the client from server
 * to server. A server that fails is replaced, and only its part is computed again.
 */
export class PieceWay {
  readonly #swarm: PassAccess
  readonly #plan: PassPlan
  readonly #signal: AbortSignal
  readonly #retries: Retries

  constructor(swarm: PassAccess, plan: PassPlan, signal: AbortSignal) {
    this.#swarm = swarm
    this.#plan = plan
    this.#signal = signal
    const { refusals, recoveryTimeoutMs = RECOVERY_TIMEOUT_MS } = plan
    this.#retries = new Retries(swarm, { refusals, recoveryTimeoutMs, signal })
  }

  /** Computes some blocks; returns their output. `keep` is told who computed which of them from what. */
  async forward({ start, end, input }: PieceRange, keep?: (part: PassPart) => void): Promise<Tensor> {
    let output = input
    for (let block = start; block < end;) {
      const range = { start: block, end, input: output }
      const { span, result } = await this.#atBest(range, () => 'forward', this.#forwardOnce)
      keep?.({ span, input: output })
      output = result
      block = span.end
    }
    return output
  }

  /**
   * Computes the gradients of some blocks from that of their output. First `parts` that a forward pass has left are
   * asked of the servers that computed them; where there are none, or a server fails, the blocks are shared out again:
   * forward over all but the last span, then back. Returns the gradients of each span, the first span first.
   */
  async backward(todo: readonly (PassPart | PieceRange)[], gradient: Tensor): Promise<PartGradients[]> {
    const stack = [...todo]
    const done: PartGradients[] = []
    let given = gradient
    for (let last = stack.pop(); last !== undefined; last = stack.pop()) {
      const found = 'span' in last ? await this.#atSame(last, given) : await this.#backwardFrom(last, given)
      if ('hidden' in found) {
        done.unshift(found)
        given = found.hidden
      } else {
        stack.push(...found.todo)
      }
    }
    return done
  }

  /** Asks the server of the forward pass; if that fails, the part's blocks are to be shared out again. */
  async #atSame(part: PassPart, gradient: Tensor): Promise<PartGradients | { todo: PieceRange[] }> {
    const { span, input } = part
    const { start, end } = span
    const again = { todo: [{ start, end, input }] }
    const server = this.#swarm.records().find(({ peerId }) => peerId === span.server.peerId)
    const isThere = server !== undefined && server.start <= start && end <= server.end && server.state !== 'OFFLINE'
    if (!isThere || this.#swarm.avoided().has(server.peerId) || this.#plan.refusals.has(server.peerId)) return again
    const same = { ...span, server }
    const seconds = this.#seconds(same, input, 'backward')
    const turn = await this.#swarm.lanes.enterAt(same, seconds, this.#signal)
    if (turn === undefined) return again
    const gradients = await this.#during(same, turn, () => this.#backwardOnce(same, input, gradient, turn))
    return gradients === undefined ? again : { part: { span: same, input }, ...gradients }
  }

  /** Computes the last of some blocks that one server takes: backward if it takes all of them, else forward. */
  async #backwardFrom(
    range: PieceRange,
    gradient: Tensor,
  ): Promise<PartGradients | { todo: (PassPart | PieceRange)[] }> {
    const { end, input } = range
    const direction = (span: RouteSpan): Direction => (span.end === end ? 'backward' : 'forward')
    const { span, result } = await this.#atBest(range, direction, async (span, input, turn) =>
      direction(span) === 'backward'
        ? { gradients: await this.#backwardOnce(span, input, gradient, turn) }
        : { output: await this.#forwardOnce(span, input, turn) },
    )
    const part = { span, input }
    if ('gradients' in result) return { part, ...result.gradients! }
    return { todo: [part, { start: span.end, end, input: result.output! }] }
  }

  /** Has some work done by the server that is first to have done it, or by the next one where it fails. */
  async #atBest<T>(
    { start, end, input }: PieceRange,
    direction: (span: RouteSpan) => Direction,
    work: (span: RouteSpan, input: Tensor, turn: Turn) => Promise<T>,
  ): Promise<{ span: RouteSpan; result: T }> {
    const { cuts = [] } = this.#plan
    const until = Math.min(end, ...cuts.filter((cut) => cut > start))
    for (;;) {
      const entered = await this.#swarm.lanes
        .enter(
          () => this.#choose(input, start, until),
          (span) => this.#seconds(span, input, direction(span)),
          this.#signal,
        )
        .catch((error: unknown) => this.#retries.noRoute(error))
      if (entered === undefined) continue
      const { span, turn } = entered
      const result = await this.#during(span, turn, async () => ({ value: await work(span, input, turn) }))
      if (result !== undefined) return { span, result: result.value }
    }
  }

  /** The first span of the best way through some blocks. */
  async #choose(input: Tensor, start: number, end: number): Promise<RouteSpan> {
    const { digests, adapter, gradientTokens, refusals, wireDType } = this.#plan
    const swarm = this.#swarm
    const [rows = 0, tokens = 0] = input.shape
    const wanted: RouteRequest = {
      start,
      end,
      tokens,
      avoid: new Set(refusals.keys()),
      digests,
      ownPeer: swarm.peerId,
      links: swarm.links,
      slowdowns: swarm.lanes.observed.factors,
      pass: { tokens: rows * tokens, bytes: input.data.byteLength, given: swarm.lanes.seconds, gradientTokens },
      adapter,
      wireDType,
    }
    const find: RouteFinder = (records) => findRouteAround(records, wanted, swarm.avoided())
    const [span] = (await swarm.route?.(find)) ?? find(swarm.records())
    return span!
  }

  /** Does a server's work and gives its turn back. Undefined where it has failed, but may be done by another. */
  async #during<T>(span: RouteSpan, turn: Turn, work: () => Promise<T>): Promise<T | undefined> {
    try {
      this.#signal.throwIfAborted()
      const result = await work()
      if (!this.#agrees(span)) return undefined
      this.#retries.worked(span)
      return result
    } catch (error) {
      turn.leave()
      await this.#retries.failed(span, error)
      return undefined
    } finally {
      turn.leave()
    }
  }

  #forwardOnce = async (span: RouteSpan, input: Tensor, turn: Turn): Promise<Tensor> => {
    const request = await this.#request(span, input, turn, 'forward')
    return await this.#observed(request, turn, 'forward', () => requestForward(this.#swarm, request))
  }

  async #backwardOnce(span: RouteSpan, input: Tensor, gradient: Tensor, turn: Turn): Promise<SpanGradients> {
    const request = await this.#request(span, input, turn, 'backward')
    const modules = this.#plan.adapter?.trained(span)
    return await this.#observed(request, turn, 'backward', () =>
      requestBackward(this.#swarm, { ...request, gradient, modules }),
    )
  }

  async #request(span: RouteSpan, hidden: Tensor, turn: Turn, direction: Direction): Promise<SpanRequest> {
    const { adapter, prompts, start, timeoutMs, wireDType = 'auto' } = this.#plan
    const signal = this.#signal
    const [minStepMs, mostMs] =
      direction === 'forward'
        ? [MIN_FORWARD_MS, FORWARD_TIMEOUT_MS]
        : [MIN_FORWARD_MS * BACKWARD_FORWARDS, BACKWARD_TIMEOUT_MS]
    const stepTimeoutMs = timeoutMs ?? mostMs
    const size = { ...sizeOf(hidden, direction), secondsAhead: turn.secondsAhead }
    const bounds = { minStepMs: Math.min(minStepMs, stepTimeoutMs), stepTimeoutMs }
    return {
      span,
      hidden,
      prompts: prompts && sliceRows(prompts, span.start - start, span.end - start),
      adapter: await adapter?.provide(this.#swarm, span, { trusts: true, signal }),
      wireDType,
      limitMs: allowedStepMs([span], size, this.#swarm.links, bounds),
      signal,
    }
  }

  /** Compares what a server took with what its record lets expect. */
  async #observed<T>(
    { span, hidden, adapter }: SpanRequest,
    { secondsAhead }: Turn,
    direction: Direction,
    work: () => Promise<T>,
  ): Promise<T> {
    const began = performance.now()
    const result = await work().catch((error: unknown) => {
      throw errorCode(error) === 'ADAPTER_UNKNOWN' && adapter?.forget() ? new AdapterLost(error as Error) : error
    })
    const { lanes, links } = this.#swarm
    const expected = expectedStepSeconds([span], { ...sizeOf(hidden, direction), secondsAhead }, links)
    if (expected !== undefined) lanes.observed.took([span.server.peerId], (performance.now() - began) / 1000, expected)
    return result
  }

  /** What a piece will take on a server, in seconds, beside what else waits there. */
  #seconds({ server, start, end }: RouteSpan, hidden: Tensor, direction: Direction): number {
    const size = sizeOf(hidden, direction)
    const idle = { server: { ...server, queueMs: 0 }, start, end }
    const expected = expectedStepSeconds([idle], size, this.#swarm.links)
    const factor = this.#swarm.lanes.observed.factors.get(server.peerId) ?? 1
    return factor * (expected ?? size.forwards * size.tokens * (end - start) * UNKNOWN_BLOCK_SECONDS)
  }

  /** Whether a server computed with the weights of the others; if none has computed these blocks yet, it sets them. */
  #agrees({ server, start, end }: RouteSpan): boolean {
    const { digests } = this.#plan
    const blocks = Array.from({ length: end - start }, (_, i) => start + i)
    const digestOf = (block: number): string | undefined => server.blockDigests[block - server.start]
    const isOther = (block: number): boolean => (digests.get(block) ?? digestOf(block)) !== digestOf(block)
    if (blocks.some((block) => digestOf(block) !== undefined && isOther(block))) return false
    for (const block of blocks) {
      const digest = digestOf(block)
      if (digest !== undefined) digests.set(block, digest)
    }
    return true
  }
}

function sizeOf({ shape, data }: Tensor, direction: Direction): StepSize & { readonly forwards: number } {
  const [batch = 0, length = 0, width = 0] = shape
  const tokens = batch * length
  const attention = attentionShare({ position: 0, tokens: length }, width)
  const [forwards, carries] = direction === 'forward' ? [1, FORWARD_CARRIES] : [BACKWARD_FORWARDS, BACKWARD_CARRIES]
  return { tokens, rowBytes: data.byteLength / tokens, attention, forwards, carries }
}
