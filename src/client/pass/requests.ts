import { spanText } from '../../base/span.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer } from '../../swarm/frames/messages.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { type RequestTrace, newTrace } from '../../swarm/node/trace.ts'
import type { Activations } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { ModulePair } from '../remote/adapters/adapter-versions.ts'
import type { ModuleShapes, ProvidedAdapter } from '../remote/adapters/request-adapter.ts'
import type { RouteSpan } from '../remote/routes/route-request.ts'
import { type WireChoice, agreedWireDType, answerDType, encodeOwn } from '../remote/routes/wire-dtype.ts'
import { wrongAnswer } from '../remote/wrong-answer.ts'
import { takeAnswer } from './answers.ts'
import type { PassAccess } from './pass-access.ts'

const CONNECT_TIMEOUT_MS = 10_000

/** What a server is asked to compute of one piece. */
export interface SpanRequest {
  readonly span: RouteSpan
  /** The input of the span's first block, [batch, tokens, hidden]. */
  readonly hidden: Tensor
  /** Deep prompts of the span's blocks, [blocks, positions, hidden]. */
  readonly prompts: Tensor | undefined
  /** The adapter as this server has it. */
  readonly adapter: ProvidedAdapter | undefined
  /** The form in which an output is asked for. */
  readonly wireDType: WireChoice
  /** How long the whole may take, in milliseconds. */
  readonly limitMs: number
  readonly signal: AbortSignal
}

/** The gradients of one piece with respect to what went into one span. */
export interface SpanGradients {
  readonly hidden: Tensor
  readonly prompts: Tensor | undefined
  readonly modules: ReadonlyMap<string, ModulePair>
}

/**
 * Has a server compute the output of a span: the shape and dtype of `hidden`. Throws the server's error, `TIMEOUT`s,
 * `SESSION_ANSWER` and `TENSOR_NONFINITE` for what cannot be the output, and the signal's reason.
 */
export async function requestForward(swarm: PassAccess, request: SpanRequest): Promise<Tensor> {
  const { span, hidden, prompts, adapter, wireDType: choice } = request
  const { server, start, end } = span
  // What a server gave in some form has the values of that form: they are not rounded a second time.
  const sent = await encodeOwn(hidden, server, choice)
  const wireDType = agreedWireDType(server, choice)
  return await ask(swarm, 'forward', request, async (stream, { traced, signal }) => {
    const { modelKey } = swarm
    const given = { hidden: sent, adapter: adapter?.name, prompts, wireDType }
    const message = { modelKey, start, end, ...traced, ...given }
    await measured(swarm, server, sent, () => stream.send({ kind: 'forward', ...message }, { signal }))
    const answer = await received(stream, signal)
    const due = { server, what: 'hidden states', dtype: answerDType(server, choice), shape: hidden.shape }
    return await takeAnswer(answer.hidden, due, hidden.dtype as FloatDType)
  })
}

/**
 * Has a server compute the gradients with respect to a span's input, to its deep prompts, and to the matrices of those
 * `modules` of the adapter that are asked for, from the gradient with respect to its output, which has the shape of
 * `hidden`. Throws as `requestForward`.
 */
export async function requestBackward(
  swarm: PassAccess,
  request: SpanRequest & { readonly gradient: Tensor; readonly modules: ModuleShapes | undefined },
): Promise<SpanGradients> {
  const { span, hidden, gradient, prompts, adapter, modules } = request
  const { server, start, end } = span
  return await ask(swarm, 'backward', request, async (stream, { traced, signal }) => {
    const { modelKey } = swarm
    const adapterGradients = modules !== undefined && modules.size > 0
    const given = { hidden, gradient, adapter: adapter?.name, prompts, adapterGradients }
    const message = { modelKey, start, end, ...traced, ...given }
    await measured(swarm, server, hidden, () => stream.send({ kind: 'backward', ...message }, { signal }))
    const first = await received(stream, signal)
    if (first.kind !== 'gradients') throw wrongAnswer(server.peerId, `"${first.kind}" where gradients were due`)
    if ((first.prompts === undefined) !== (prompts === undefined))
      throw wrongAnswer(server.peerId, `gradients ${prompts === undefined ? 'of' : 'without those of'} deep prompts`)
    const due = { server, what: 'a gradient', dtype: server.dtype }
    const dueHidden = { ...due, shape: hidden.shape }
    const ofHidden = await takeAnswer(first.hidden, dueHidden, gradient.dtype as FloatDType)
    const ofPrompts = first.prompts && (await takeAnswer(first.prompts, { ...due, shape: prompts!.shape }, 'float32'))
    const ofModules = await receiveModules(stream, span, modules ?? new Map(), signal)
    return { hidden: ofHidden, prompts: ofPrompts, modules: ofModules }
  })
}

/** Receives the gradients of exactly these modules, each once, and the message that completes them. */
async function receiveModules(
  stream: RequestStream<'backward'>,
  { server }: RouteSpan,
  due: ModuleShapes,
  signal: AbortSignal,
): Promise<Map<string, ModulePair>> {
  const modules = new Map<string, ModulePair>()
  const { peerId } = server
  for (;;) {
    const message = await received(stream, signal)
    if (message.kind === 'complete') break
    if (message.kind !== 'module') throw wrongAnswer(peerId, 'gradients twice')
    const { name } = message
    const shapes = due.get(name)
    if (shapes === undefined || modules.has(name))
      throw wrongAnswer(peerId, `a gradient of module ${name}, which is ${shapes ? 'there twice' : 'not asked for'}`)
    const take = (matrix: Tensor, shape: readonly number[]): Promise<Tensor> =>
      takeAnswer(matrix, { server, what: `a gradient of ${name}`, dtype: 'float32', shape }, 'float32')
    modules.set(name, { a: await take(message.a, shapes.a), b: await take(message.b, shapes.b) })
  }
  for (const name of due.keys())
    if (!modules.has(name)) throw wrongAnswer(peerId, `no gradient of module ${name}, which was asked for`)
  return modules
}

/** Sends hidden states, and notes how long the link took for them. */
async function measured(
  { links }: PassAccess,
  { peerId }: ServerRecord,
  { data }: Activations,
  send: () => Promise<void>,
): Promise<void> {
  const began = performance.now()
  await send()
  links?.sent(peerId, data.byteLength, performance.now() - began)
}

/** As `onStream`, for a request of its own, with a span of its own. */
async function ask<R extends 'forward' | 'backward', T>(
  swarm: PassAccess,
  rpc: R,
  request: SpanRequest,
  work: (
    stream: RequestStream<R>,
    asked: { readonly traced: RequestTrace; readonly signal: AbortSignal },
  ) => Promise<T>,
): Promise<T> {
  const traced = { trace: newTrace(), traceContext: swarm.tracing?.context?.() }
  const { span, hidden } = request
  const attributes = {
    'petals.blocks': spanText([span.start, span.end]),
    'petals.tokens': hidden.shape[0]! * hidden.shape[1]!,
    'petals.server': span.server.peerId,
  }
  const own = swarm.tracing?.begin(traced.trace, rpc, attributes)
  try {
    const result = await onStream(swarm, rpc, request, (stream, signal) => work(stream, { traced, signal }))
    own?.end()
    return result
  } catch (error) {
    own?.end({}, error)
    throw error
  }
}

/** Opens a stream, and ends it in order where the work is done, else at once. */
async function onStream<R extends 'forward' | 'backward', T>(
  swarm: PassAccess,
  rpc: R,
  { span: { server }, limitMs, signal }: SpanRequest,
  work: (stream: RequestStream<R>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stream = await withDeadline(`dialling peer ${server.peerId}`, CONNECT_TIMEOUT_MS, signal, (signal) =>
    swarm.open(server, rpc, signal),
  )
  try {
    const what = `a ${rpc} pass through peer ${server.peerId}`
    const result = await withDeadline(what, limitMs, signal, (signal) => work(stream, signal))
    void stream.end()
    return result
  } catch (error) {
    // Aborted, because after an orderly end the server would go on computing.
    stream.abort(error as Error)
    throw error
  }
}

async function received<R extends 'forward' | 'backward'>(
  stream: RequestStream<R>,
  signal: AbortSignal,
): Promise<Answer<R>> {
  const answer = await stream.receive({ signal })
  if (answer === null) throw wrongAnswer(stream.remotePeer, 'it ended in the middle')
  return answer as Answer<R>
}
