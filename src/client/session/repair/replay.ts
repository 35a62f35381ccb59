import { allOf } from '../../../base/all-of.ts'
import { RemoteError } from '../../../swarm/frames/remote-error.ts'
import { type Activations, concatRows } from '../../../tensor/activations.ts'
import { type Tensor, sliceRows } from '../../../tensor/tensor.ts'
import type { Chain } from '../chain/chain.ts'
import { type StepSize, attentionShare } from '../../remote/steps/step-time.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'
import type { Link } from '../server/link.ts'
import type { RemoteSession } from '../server/remote-session.ts'
import type { SpanInputs } from '../inputs/span-inputs.ts'
import type { StepNumbers } from '../server/step-numbers.ts'
import { type WatchdogOptions, whileAlive } from '../server/watchdog.ts'

/** What a repair is to lead to. */
export interface ReplayGoal {
  /** Number of tokens that were complete before the failed step; `failedStep` is that step's number. */
  readonly settled: number
  readonly failedStep: number
  /** Number of tokens that every span has to hold in the end. */
  readonly target: number
  /** How many of the last rows of the last span's output are wanted. */
  readonly rows: number
}

/** What a repair works with. */
export interface ReplayContext extends ReplayGoal {
  readonly chain: Chain
  /** The epoch that began with this repair. */
  readonly epoch: number
  readonly numbers: StepNumbers
  /** Whether the client keeps the inputs of spans that do not need them now. */
  readonly keepsCopies: boolean
  readonly watchdog: WatchdogOptions
  /** How long a server may take for a step, in milliseconds. */
  readonly allowedMs: (remote: RemoteSession, step: StepSize) => number
  readonly onReplay: (tokens: number) => void
}

/**
 * The most bytes of one message of a replay. A server that is asked for its status answers only behind the message, so
 * it must be short.
 */
const MAX_MESSAGE_BYTES = 4 << 20

/**
 * The time limit for an answer of a server that is alive but does not answer; one that is not alive is noticed earlier.
 */
export const ANSWER_TIMEOUT_MS = 600_000

/**
 * Begins a new epoch on all servers of a chain that are not lost; returns how many valid tokens each holds. A server
 * that does not answer is given up.
 */
export async function resumeAll(context: ReplayContext): Promise<ReadonlyMap<RemoteSession, number>> {
  const { chain, epoch, settled, failedStep } = context
  const left = chain.links.map(({ remote }) => remote).filter(({ lost }) => lost === undefined)
  const resumed = left.map(async (remote) => {
    const resume = { kind: 'resume', epoch, position: settled, until: failedStep } as const
    const answer = remote.request(resume, 'resumed', ANSWER_TIMEOUT_MS)
    const { position } = await orGiveUp(remote, whileAlive(answer, remote, context.watchdog))
    if (position <= context.target) return [remote, position] as const
    const error = wrongAnswer(remote.peerId, `it holds ${position} tokens where ${context.target} were sent`)
    remote.giveUp(error)
    throw error
  })
  return new Map(await allOf(...resumed))
}

/** Brings every span of a repaired chain up to date, as `fill` does; returns the wanted rows of the last output. */
export async function replay(context: ReplayContext, held: readonly number[]): Promise<Activations> {
  return (await fill(context, held)) ?? outputsOfLast(context)
}

/** The outputs of the last server, which holds all tokens. If it has not kept them, it computes them once more. */
async function outputsOfLast(context: ReplayContext): Promise<Activations> {
  const { chain, target, rows } = context
  const last = chain.links.at(-1)!
  const from = target - rows
  try {
    return await fetchOutputs(last, from, target, context)
  } catch (error) {
    if (!(error instanceof RemoteError && error.code === 'SESSION_OUTPUTS_GONE')) throw error
  }
  await ensureInputs(chain.links.length - 1, context)
  return (await runPieces(last.remote, await inputsOf(chain.links.length - 1, from, context), from, context))!
}

/**
 * Brings every span of a chain to `target` tokens; `held[i]` is how many link i's server holds. A span that holds its
 * tokens computes nothing; a new server is sent its span's inputs as one chunked prefill, and gives back only what is
 * missing further on. Returns the wanted rows of the last span's output, undefined if it had to compute nothing.
 */
export async function fill(context: ReplayContext, held: readonly number[]): Promise<Activations | undefined> {
  const { chain, settled, target } = context
  let made: Activations | undefined
  for (const [i, link] of chain.links.entries()) {
    const isLast = i === chain.links.length - 1
    const from = isLast && held[i]! < target ? Math.min(held[i]!, target - context.rows) : held[i]!
    made = undefined
    if (from >= target) continue
    await ensureInputs(i, context)
    if (from < settled) context.onReplay(settled - from)
    const next = chain.links[i + 1]?.inputs
    // The latest copies of this server's outputs may not have arrived yet; without them the outputs that follow would
    // leave a gap in the next span's inputs.
    if (next !== undefined && next.until < from) await fetchInto(next, link, from, context)
    const isNeeded = next !== undefined && (context.keepsCopies || held[i + 1]! < target)
    const missing = isNeeded ? target - Math.max(from, Math.min(next.until, target)) : 0
    const rows = isLast ? context.rows : missing
    made = await runPieces(link.remote, await inputsOf(i, from, context), from, { ...context, rows })
    if (made !== undefined) next?.write(target - rows, made)
  }
  return made
}

/**
 * Sends a server inputs for the positions from `from` on, in as many steps as the size of messages requires; returns
 * the last `rows` outputs, undefined where none are wanted. From position 0 on, the first step has as many tokens as
 * the session's first piece: a server with an int8 cache sets its scales by its first run, and must round as the lost
 * one did.
 */
async function runPieces(
  remote: RemoteSession,
  inputs: Activations,
  from: number,
  context: ReplayContext,
): Promise<Activations | undefined> {
  const [tokens = 0] = inputs.shape
  const rowBytes = inputs.data.byteLength / tokens
  const unwanted = tokens - context.rows
  const outputs: Activations[] = []
  const piece = Math.max(1, Math.floor(MAX_MESSAGE_BYTES / rowBytes))
  for (let done = 0, until: number; done < tokens; done = until) {
    until = Math.min(
      tokens,
      done + (from + done === 0 ? Math.min(piece, context.chain.links[0]!.inputs.firstTokens) : piece),
    )
    const hidden = sliceRows(inputs, done, until)
    const rows = Math.min(until - done, Math.max(0, until - unwanted))
    const step = remote.step({
      epoch: context.epoch,
      step: context.numbers.next(),
      position: from + done,
      hidden,
      rows,
    })
    const attention = attentionShare({ position: from + done, tokens: until - done }, inputs.shape[1]!)
    const limitMs = context.allowedMs(remote, { tokens: until - done, rowBytes, attention })
    const made = await orGiveUp(remote, whileAlive(step.output, remote, context.watchdog, limitMs))
    if (made !== undefined) outputs.push(made)
  }
  return context.rows === 0 ? undefined : concatRows(outputs)
}

/**
 * The inputs of link `index`, which holds them, from a position up to the target, as they are sent to its server: what
 * the client has embedded itself in the agreed form, all else as another server has made it.
 */
async function inputsOf(index: number, from: number, { chain, target }: ReplayContext): Promise<Activations> {
  const { remote, inputs } = chain.links[index]!
  const rows = (await inputs.range(from, target))!
  return index === 0 ? remote.form.encodeOwn(rows as Tensor) : remote.form.passOn(rows)
}

/** Makes the client hold the inputs of link `index` up to the target. */
async function ensureInputs(index: number, context: ReplayContext): Promise<void> {
  const { chain, target } = context
  const { inputs } = chain.links[index]!
  if (inputs.until >= target || index === 0) return
  const before = chain.links[index - 1]!
  if (await fetchInto(inputs, before, target, context)) return
  // Nobody holds these inputs any more, so the server before computes its whole span again.
  await ensureInputs(index - 1, context)
  const all = await inputsOf(index - 1, 0, context)
  context.onReplay(target)
  inputs.write(0, (await runPieces(before.remote, all, 0, { ...context, rows: target }))!)
}

/** Completes a log up to `until` with outputs that the server before has kept. False if it no longer has them. */
async function fetchInto(inputs: SpanInputs, before: Link, until: number, context: ReplayContext): Promise<boolean> {
  try {
    inputs.write(inputs.until, await fetchOutputs(before, inputs.until, until, context))
    return true
  } catch (error) {
    if (error instanceof RemoteError && error.code === 'SESSION_OUTPUTS_GONE') return false
    throw error
  }
}

/** The outputs of positions `from` to `until` that a server has kept, in as many messages as their size requires. */
async function fetchOutputs(link: Link, from: number, until: number, context: ReplayContext): Promise<Activations> {
  const piece = Math.max(1, Math.floor(MAX_MESSAGE_BYTES / link.remote.form.rowBytes))
  const outputs: Activations[] = []
  for (let start = from; start < until; start += piece) {
    outputs.push(await fetchPiece(link.remote, start, Math.min(until, start + piece), context))
  }
  return concatRows(outputs)
}

async function fetchPiece(
  remote: RemoteSession,
  from: number,
  until: number,
  { watchdog }: ReplayContext,
): Promise<Activations> {
  const request = remote.request({ kind: 'fetch', position: from, until }, 'fetched', ANSWER_TIMEOUT_MS)
  const { position, hidden } = await orGiveUp(remote, whileAlive(request, remote, watchdog))
  if (position === from && hidden.shape[0] === until - from) return hidden
  const error = wrongAnswer(remote.peerId, `outputs of other positions than ${from} to ${until}`)
  remote.giveUp(error)
  throw error
}

/**
 * The result of `work` on a server; if it fails, the server is given up, so that the next attempt goes elsewhere.
 * Outputs that are gone are no failure of the server.
 */
export async function orGiveUp<T>(remote: RemoteSession, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof RemoteError && error.code === 'SESSION_OUTPUTS_GONE')) remote.giveUp(error as Error)
    throw error
  }
}
