import { PetalsError } from '../../base/errors.ts'
import { spanText } from '../../base/span.ts'
import type { ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Request } from '../../swarm/frames/messages.ts'
import { convertInPieces } from '../../tensor/convert.ts'
import type { Activations } from '../../tensor/activations.ts'
import { allFiniteInPieces } from '../../tensor/finite.ts'
import { decodeActivations, encodeFinite } from '../../tensor/travel.ts'
import { firstMessage } from './first-message.ts'
import { goneSignal } from './gone-signal.ts'
import type { RequestContext } from './request-context.ts'
import { askedWireDType } from '../session/wire-dtype.ts'

/** The time limit of a pass. A client that runs into it should ask for less at a time. */
const PASS_TIMEOUT_MS = 600_000

/** What a token of a backward pass costs: it is computed forward, maybe once more, and back. */
const BACKWARD_COST = 3

/** Answers requests for passes over whole sequences: `forward`, `probe` and `backward`. */
export class PassRequests {
  readonly #context: RequestContext

  constructor(context: RequestContext) {
    this.#context = context
  }

  async forward(rpc: 'forward' | 'probe', stream: ServedStream<'forward' | 'probe'>): Promise<void> {
    const request = await firstMessage(stream)
    const receivedMs = performance.now()
    const { modelKey, start, end, hidden, adapter, prompts, wireDType } = request
    const { pace } = this.#context
    const log = this.#context.logOf(request.trace)
    const count = numTokens(hidden)
    const output = await this.#context.reported(rpc, log, async () => {
      const engine = this.#context.engineFor(modelKey)
      const wire = askedWireDType(wireDType)
      const client = stream.remotePeer
      await this.#context.admitTokens(client, count)
      await checkFinite('the input', hidden)
      if (prompts !== undefined) await checkFinite('the tensor of deep prompts', prompts)
      const input = await decodeActivations(hidden, engine.dtype)
      const wait = { timeoutMs: PASS_TIMEOUT_MS, signal: goneSignal(stream) }
      const done = pace.wait(count, end - start)
      const made = await engine.forward(input, { start, end, adapter, prompts, client, ...wait }).finally(done)
      return wire === undefined ? made : await encodeFinite(made, wire, 'the blocks gave')
    })
    if (rpc === 'forward') this.#passed(rpc, request, receivedMs)
    log.debug({ peerId: stream.remotePeer, tokens: count }, 'forward done')
    await stream.send({ kind: 'output', hidden: output })
  }

  async backward(stream: ServedStream<'backward'>): Promise<void> {
    const request = await firstMessage(stream)
    const gone = goneSignal(stream)
    // Gradients of hidden states take no more than what was received, which counts until the stream is over; those of
    // an adapter may be large where the request was small, and stay until the client has read them.
    const bytes = await this.#context.reported('backward', this.#context.logOf(request.trace), async () =>
      this.#adapterBytes(request),
    )
    const answer = (): Promise<void> => this.#backward(stream, request, gone)
    await (bytes === 0 ? answer() : this.#context.node.peerGuard.sent.during(stream.remotePeer, bytes, answer, gone))
  }

  #adapterBytes({ modelKey, start, end, adapter, adapterGradients }: Request<'backward'>): number {
    if (!adapterGradients) return 0
    if (adapter === undefined)
      throw new PetalsError('SESSION_REQUEST', "an adapter's gradients were asked for, and no adapter was named")
    return this.#context.engineFor(modelKey).adapters.gradientBytes(adapter, { start, end })
  }

  async #backward(stream: ServedStream<'backward'>, request: Request<'backward'>, signal: AbortSignal): Promise<void> {
    const { modelKey, start, end, hidden, gradient, adapter, prompts, adapterGradients } = request
    const receivedMs = performance.now()
    const { pace } = this.#context
    const log = this.#context.logOf(request.trace)
    const count = numTokens(hidden)
    const { modules, ...gradients } = await this.#context.reported('backward', log, async () => {
      const engine = this.#context.engineFor(modelKey)
      const client = stream.remotePeer
      await this.#context.admitTokens(client, BACKWARD_COST * count)
      await checkFinite('the input', hidden)
      if (prompts !== undefined) await checkFinite('the tensor of deep prompts', prompts)
      await checkFinite('the gradient', gradient)
      const [input, given] = [
        await convertInPieces(hidden, engine.dtype),
        await convertInPieces(gradient, engine.dtype),
      ]
      const wait = { timeoutMs: PASS_TIMEOUT_MS, signal }
      const done = pace.wait(BACKWARD_COST * count, end - start)
      return await engine
        .backward(input, given, { start, end, adapter, prompts, adapterGradients, client, ...wait })
        .finally(done)
    })
    this.#passed('backward', request, receivedMs)
    log.debug({ peerId: stream.remotePeer, tokens: count }, 'backward done')
    await stream.send({ kind: 'gradients', ...gradients })
    for (const module of modules ?? []) await stream.send({ kind: 'module', ...module })
    await stream.send({ kind: 'complete' })
  }

  #passed(
    kind: 'forward' | 'backward',
    request: Pick<Request<'forward'>, 'trace' | 'traceContext' | 'start' | 'end' | 'hidden'>,
    receivedMs: number,
  ): void {
    const { stats, node } = this.#context
    const { start, end } = request
    const tokens = numTokens(request.hidden)
    stats.passed(kind, tokens)
    node.tracing?.served(request, kind, receivedMs, {
      'petals.server': node.peerId,
      'petals.blocks': spanText([start, end]),
      'petals.tokens': tokens,
    })
  }
}

function numTokens({ shape: [batch = 0, tokens = 0] }: Activations): number {
  return batch * tokens
}

async function checkFinite(what: string, values: Activations): Promise<void> {
  if (!(await allFiniteInPieces(values)))
    throw new PetalsError('TENSOR_NONFINITE', `${what} holds NaN or infinite values`)
}
