import { RemoteError } from '../../swarm/errors.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { Chain, Link } from './chain.ts'
import type { InputLog } from './input-log.ts'
import type { RemoteSession } from './remote-session.ts'
import { type WatchdogOptions, watchStep } from './watchdog.ts'

export interface ReplayContext {
  readonly chain: Chain
  readonly epoch: number
  /** Tokens that every span is to hold in the end. */
  readonly target: number
  /** Tokens that were settled before the step that failed, and that step's number. */
  readonly settled: number
  readonly failedStep: number
  readonly nextStep: () => number
  readonly watchdog: WatchdogOptions
  readonly onReplay: (tokens: number) => void
}

/** One frame of a replay; the server cuts it into chunks for its device. */
const MAX_FRAME_BYTES = 16 << 20

const RESUME_TIMEOUT_MS = 5000

/**
 * Brings every span of a repaired chain to `target` tokens and gives the last span's outputs for positions `settled` to
 * `target`. Spans that hold their tokens compute nothing again: only a new server is sent its span's inputs, as one
 * chunked prefill.
 */
export async function replay(context: ReplayContext): Promise<Tensor> {
  const { chain, settled, target } = context
  const held = await Promise.all(chain.links.map((link) => resume(link, context)))
  let made: Tensor | undefined
  for (const [i, link] of chain.links.entries()) {
    const from = held[i]!
    made = undefined
    if (from >= target) continue
    await ensureInputs(i, context)
    if (from < settled) context.onReplay(settled - from)
    made = await runPieces(link, link.remote, link.inputs.range(from, target)!, from, context)
    chain.links[i + 1]?.inputs.write(from, made)
  }
  const last = chain.links.at(-1)!
  return made === undefined ? fetchOutputs(last, settled, context) : sliceRows(made, made.shape[0]! - (target - settled), made.shape[0]!)
}

/** Begins the new epoch on a server; returns how many of its cached tokens are valid. */
async function resume({ remote }: Link, { epoch, failedStep, settled, target }: ReplayContext): Promise<number> {
  const { header } = await remote.request({ kind: 'resume', epoch }, 'resumed', RESUME_TIMEOUT_MS)
  // What a server holds beyond the settled tokens counts only if it has done the step that failed: it may as well be what
  // was left there before the session was cut back.
  const position = header.position ?? 0
  return Math.min(position, (header.numbers?.['completed'] ?? 0) >= failedStep ? target : settled)
}

/** Sends a server inputs for the positions from `from` on, in as many steps as frames allow; returns all outputs. */
async function runPieces(link: Link, remote: RemoteSession, inputs: Tensor, from: number, context: ReplayContext): Promise<Tensor> {
  const [tokens = 0, width = 0] = inputs.shape
  const output = new Uint8Array(inputs.data.byteLength)
  const rowBytes = inputs.data.byteLength / tokens
  const piece = Math.max(1, Math.floor(MAX_FRAME_BYTES / rowBytes))
  for (let done = 0; done < tokens; done += piece) {
    const until = Math.min(tokens, done + piece)
    const step = context.nextStep()
    const header = { kind: 'step', epoch: context.epoch, step, position: from + done }
    const made = await watchStep(remote.step(header, sliceRows(inputs, done, until)), [{ ...link, remote }], step, context.watchdog)
    output.set(made.data, done * rowBytes)
  }
  return { dtype: inputs.dtype, shape: [tokens, width], data: output }
}

/** Makes sure that the client holds the inputs of link `index` up to the target. */
async function ensureInputs(index: number, context: ReplayContext): Promise<void> {
  const { chain, target } = context
  const { inputs } = chain.links[index]!
  if (inputs.until >= target || index === 0) return
  const before = chain.links[index - 1]!
  try {
    inputs.write(inputs.until, await fetchOutputs(before, inputs.until, context))
  } catch (error) {
    if (!(error instanceof RemoteError) || error.code !== 'SESSION_OUTPUTS_GONE') throw error
    await recomputeInputs(index, inputs, context)
  }
}

async function fetchOutputs({ remote }: Link, from: number, { epoch, target }: ReplayContext): Promise<Tensor> {
  const answer = await remote.request({ kind: 'fetch', epoch, position: from, until: target }, 'fetched', RESUME_TIMEOUT_MS)
  return answer.tensors[0]!
}

/** Nobody holds these inputs any more: they are computed from those of the span before, in scratch cache of its server. */
async function recomputeInputs(index: number, inputs: InputLog, context: ReplayContext): Promise<void> {
  await ensureInputs(index - 1, context)
  const before = context.chain.links[index - 1]!
  const scratch = await context.chain.openScratch(before)
  try {
    const all = before.inputs.range(0, context.target)!
    inputs.write(0, await runPieces(before, scratch, all, 0, context))
  } finally {
    await scratch.close()
  }
}
