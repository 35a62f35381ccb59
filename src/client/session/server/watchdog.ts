import { PetalsError, TimeoutError } from '../../../base/errors.ts'
import type { Progress } from './control-stream.ts'
import type { RemoteSession } from './remote-session.ts'
import type { StepWait } from './step-wait.ts'

/** When a server counts as lost. */
export interface WatchdogOptions {
  /** How long a step may take before its servers are asked what they are doing. */
  readonly lateMs: number
  /** How long a server may take to answer that while no byte moves; one that takes longer counts as dead. */
  readonly answerMs: number
  /** The least and the most time that a step is given, whatever its servers say that they are doing. */
  readonly minStepMs: number
  readonly stepTimeoutMs: number
}

/** No server computes and no output comes: it got lost between two servers. */
class StalledError extends PetalsError {
  constructor(message: string) {
    super('SESSION_STALLED', message)
  }
}

/** A step under way, and who takes part in it. */
export interface WatchedStep {
  readonly wait: StepWait
  /** The servers that the step goes through, in their order. */
  readonly remotes: readonly RemoteSession[]
  /** How long the step may take from now on, if servers have nothing else to do first. */
  readonly allowedMs: number
  /** Called when a step got lost between two neighbours, either of which may be the cause. */
  readonly onLinkFailed: (before: RemoteSession, after: RemoteSession) => void
}

/** How many times what a server has to do first may take as long as it said. */
const QUEUE_SLACK = 4

/**
 * Watches a step that is late. A frozen server looks like a slow one, so all servers of the step are asked. One that
 * does not answer is given up, which fails the step. While one is computing, or bytes move, the step is waited for, but
 * not beyond its time: then the server at which it rests is given up, whatever that one says. If twice in a row nobody
 * does anything, the step fails with a `StalledError`. Never rejects.
 */
export async function watchLateStep(step: WatchedStep, options: WatchdogOptions): Promise<void> {
  const { wait, remotes } = step
  const began = performance.now()
  let moved: number | undefined
  for (let idleRounds = 0; !wait.settled;) {
    const answers = await Promise.all(remotes.map((remote) => askOrGiveUp(remote, options, began + step.allowedMs)))
    if (wait.settled) return
    const queueMs = Math.max(0, ...answers.map((answer) => answer?.queueMs ?? 0))
    const limitMs = Math.min(options.stepTimeoutMs, step.allowedMs + QUEUE_SLACK * queueMs)
    if (performance.now() - began > limitMs) return giveUpResting(step, answers, limitMs)
    const movedNow = bytesMoved(remotes, answers)
    const isBusy = movedNow !== (moved ?? movedNow) || answers.some((answer) => isWorking(answer, wait.step))
    moved = movedNow
    idleRounds = isBusy ? 0 : idleRounds + 1
    if (idleRounds >= 2) return failStalled(step, answers)
    await settledWithin(wait.output, options.lateMs)
  }
}

/**
 * Waits for a server's answer as long as the server gives its status when asked, but `limitMs` at most. A server that
 * does not answer in time is given up, which rejects the answer.
 */
export async function whileAlive<T>(
  answer: Promise<T>,
  remote: RemoteSession,
  options: WatchdogOptions,
  limitMs = options.stepTimeoutMs,
): Promise<T> {
  const until = performance.now() + limitMs
  while (!(await settledWithin(answer, Math.min(options.lateMs, limitMs)))) {
    if (performance.now() >= until) remote.giveUp(new TimeoutError(`peer ${remote.peerId} gave no result`, limitMs))
    else await askOrGiveUp(remote, options, until)
  }
  return answer
}

/**
 * A server's status; undefined if it does not answer, in which case the server is given up. While it takes or sends
 * bytes it is alive: its answer may be under way behind them.
 */
async function askOrGiveUp(
  remote: RemoteSession,
  { answerMs }: WatchdogOptions,
  until: number,
): Promise<Progress | undefined> {
  for (let moved = remote.bytesMoved; ; moved = remote.bytesMoved) {
    try {
      return await remote.status(answerMs)
    } catch (error) {
      if (remote.lost === undefined && remote.bytesMoved > moved && performance.now() < until) continue
      remote.giveUp(error as Error)
      return undefined
    }
  }
}

/** A number that changes as long as bytes move, seen from here or from the servers. */
function bytesMoved(remotes: readonly RemoteSession[], answers: readonly (Progress | undefined)[]): number {
  const seenHere = remotes.reduce((sum, remote) => sum + remote.bytesMoved, 0)
  return answers.reduce((sum, answer) => sum + (answer?.arrived ?? 0), seenHere)
}

/** Whether a server is computing or sending this step. */
function isWorking(progress: Progress | undefined, step: number): boolean {
  if (progress === undefined) return false
  const { received, completed, pushing } = progress
  return (received >= step && completed < step) || pushing === step
}

/** The step's time is over: gives up the server at which it rests, by what the servers themselves say. */
function giveUpResting(step: WatchedStep, answers: readonly (Progress | undefined)[], limitMs: number): void {
  const { wait, remotes } = step
  const at = answers.findIndex((answer) => answer === undefined || answer.completed < wait.step)
  const rests = remotes[at] ?? remotes.at(-1)!
  // A step that the second has not received may not have been sent by the first: nobody can tell from here.
  if (at > 0 && (answers[at]?.received ?? wait.step) < wait.step) return failStalled(step, answers)
  rests.giveUp(new TimeoutError(`peer ${rests.peerId} did not finish step ${wait.step}`, limitMs))
}

function failStalled({ wait, remotes, onLinkFailed }: WatchedStep, answers: readonly (Progress | undefined)[]): void {
  const after = answers.findIndex((answer) => (answer?.received ?? wait.step) < wait.step)
  if (after > 0) onLinkFailed(remotes[after - 1]!, remotes[after]!)
  wait.fail(new StalledError(`step ${wait.step} was lost between servers`))
}

/** Whether a promise settles within `ms` milliseconds. */
async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(resolve, ms, false)
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      late,
    ])
  } finally {
    clearTimeout(timer)
  }
}
