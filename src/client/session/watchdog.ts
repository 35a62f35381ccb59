import { PetalsError } from '../../base/errors.ts'
import type { Answer } from '../../swarm/frames/messages.ts'
import type { RemoteSession } from './remote-session.ts'
import type { StepWait } from './step-wait.ts'

/** When a silent server counts as lost. */
export interface WatchdogOptions {
  /** How long a step may take before its servers are asked what they are doing. */
  readonly deadlineMs: number
  /** How long a server may take to answer that; one that takes longer counts as dead. */
  readonly answerMs: number
}

/** No server computes and no output comes: it got lost between two servers. */
export class StalledError extends PetalsError {
  constructor(message: string) {
    super('SESSION_STALLED', message)
  }
}

/**
 * Watches a step that is late. A frozen server looks like a slow one, so all servers of the step are asked. One that
 * does not answer is given up, which fails the step. While one is computing or sending, the step is waited for. If
 * twice in a row none is, the step fails with a `StalledError`. Never rejects.
 */
export async function watchLateStep(
  wait: StepWait,
  remotes: readonly RemoteSession[],
  options: WatchdogOptions,
): Promise<void> {
  for (let idleRounds = 0; !wait.settled;) {
    const busy = await Promise.all(
      remotes.map(async (remote) => isBusy(await askOrGiveUp(remote, options.answerMs), wait.step)),
    )
    idleRounds = busy.includes(true) ? 0 : idleRounds + 1
    if (idleRounds >= 2) wait.fail(new StalledError(`step ${wait.step} was lost between servers`))
    await settledWithin(wait.output, options.deadlineMs)
  }
}

/**
 * Waits for a server's answer as long as the server gives its status when asked. A server that does not is given up,
 * which rejects the answer.
 */
export async function whileAlive<T>(answer: Promise<T>, remote: RemoteSession, options: WatchdogOptions): Promise<T> {
  while (!(await settledWithin(answer, options.deadlineMs))) await askOrGiveUp(remote, options.answerMs)
  return answer
}

type Progress = Extract<Answer<'inference'>, { kind: 'status' }>

/** A server's status; undefined if it does not answer, in which case the server is given up. */
async function askOrGiveUp(remote: RemoteSession, answerMs: number): Promise<Progress | undefined> {
  try {
    return await remote.request({ kind: 'status' }, 'status', answerMs)
  } catch (error) {
    remote.giveUp(error as Error)
    return undefined
  }
}

/** Whether a server is computing or sending this step. */
function isBusy(progress: Progress | undefined, step: number): boolean {
  if (progress === undefined) return false
  const { received, completed, pushing } = progress
  return (received >= step && completed < step) || pushing === step
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
