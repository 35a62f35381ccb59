import { PetalsError } from '../../base/errors.ts'
import type { Answer } from '../../swarm/frames/messages.ts'
import type { RemoteSession } from './remote-session.ts'
import type { StepWait } from './step-wait.ts'

export interface WatchdogOptions {
  /** How long a step may take before its servers are asked what they are doing. */
  readonly deadlineMs: number
  /** How long a server may take to say so; one that does not is taken for dead. */
  readonly answerMs: number
}

/** Nothing computes and nothing comes: a hand-over between two servers got lost. */
export class StalledError extends PetalsError {
  constructor(message: string) {
    super('SESSION_STALLED', message)
  }
}

/**
 * Looks after a step that is late. A frozen peer looks like a slow one, so all servers are asked: who does not answer
 * is given up, which fails the step; while one computes or sends, it is waited for; where twice in a row nobody does,
 * the step fails with a `StalledError`. Never rejects.
 */
export async function watchLateStep(
  wait: StepWait,
  remotes: readonly RemoteSession[],
  options: WatchdogOptions,
): Promise<void> {
  for (let idleRounds = 0; !wait.settled;) {
    const busy = await Promise.all(
      remotes.map(async (remote) => isBusy(await ask(remote, options.answerMs), wait.step)),
    )
    idleRounds = busy.includes(true) ? 0 : idleRounds + 1
    if (idleRounds >= 2) wait.fail(new StalledError(`step ${wait.step} was lost between servers`))
    await settledWithin(wait.output, options.deadlineMs)
  }
}

/**
 * Waits for a server's answer for as long as it shows signs of life; one that does not is given up, which fails the
 * answer.
 */
export async function whileAlive<T>(answer: Promise<T>, remote: RemoteSession, options: WatchdogOptions): Promise<T> {
  while (!(await settledWithin(answer, options.deadlineMs))) await ask(remote, options.answerMs)
  return answer
}

type Progress = Extract<Answer<'inference'>, { kind: 'status' }>

async function ask(remote: RemoteSession, answerMs: number): Promise<Progress | undefined> {
  try {
    return await remote.request({ kind: 'status' }, 'status', answerMs)
  } catch (error) {
    remote.giveUp(error as Error)
    return undefined
  }
}

function isBusy(progress: Progress | undefined, step: number): boolean {
  if (progress === undefined) return false
  const { received, completed, pushing } = progress
  return (received >= step && completed < step) || pushing === step
}

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
