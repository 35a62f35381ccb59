import { PetalsError } from '../../base/errors.ts'
import type { Answer } from '../../swarm/frames/messages.ts'
import type { RemoteSession } from './remote-session.ts'

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
 * Waits for `output`, which step `step` of these servers is to give. A frozen peer looks like a slow one, so when the
 * step is late all are asked: who does not answer is given up, which fails the step; while one computes or sends, it is
 * waited for; where twice in a row nobody does, throws `StalledError`. Call it once the step has been sent: a question
 * waits behind what is still on its way out.
 */
export async function watchStep<T>(
  output: Promise<T>,
  remotes: readonly RemoteSession[],
  step: number,
  options: WatchdogOptions,
): Promise<T> {
  let idleRounds = 0
  for (;;) {
    if (await settledWithin(output, options.deadlineMs)) return output
    const busy = await Promise.all(remotes.map(async (remote) => isBusy(await ask(remote, options.answerMs), step)))
    if (await settledWithin(output, 0)) return output
    idleRounds = busy.includes(true) ? 0 : idleRounds + 1
    if (idleRounds >= 2) throw new StalledError(`step ${step} was lost between servers`)
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
