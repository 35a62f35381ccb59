import { PetalsError } from '../../base/errors.ts'
import { RemoteError } from '../../swarm/frames/remote-error.ts'
import type { Chain, Link } from './chain.ts'
import type { RemoteSession } from './remote-session.ts'
import { ANSWER_TIMEOUT_MS, type ReplayContext, ofLink } from './replay.ts'
import { whileAlive } from './watchdog.ts'

interface Extent {
  readonly start: number
  readonly end: number
  readonly maxLength: number
  readonly position: number
}

/** Throws where a session cannot hold the first `position` tokens of another. */
export function checkFork(target: Extent, source: Extent, position: number): void {
  if (source.start !== target.start || source.end !== target.end) {
    throw new PetalsError(
      'SESSION_FORK',
      `a session over blocks ${target.start}:${target.end} cannot hold one over ${source.start}:${source.end}`,
    )
  }
  if (!Number.isInteger(position) || position < 0 || position > source.position) {
    throw new PetalsError(
      'SESSION_POSITION',
      `position ${position}: the session to be forked holds ${source.position} tokens`,
    )
  }
  if (position > target.maxLength) {
    throw new PetalsError(
      'SESSION_OVERFLOW',
      `${position} tokens do not fit into a session of ${target.maxLength} tokens; open it with a larger maxLength`,
    )
  }
}

/**
 * Makes the servers of a chain hold the first `settled` tokens of `source`, another chain over the same blocks, and the
 * client what a replay needs of them. A server that holds the same blocks for both copies its cache; every other is
 * emptied. Returns how many tokens each holds then.
 */
export async function forkAll(context: ReplayContext, source: Chain): Promise<number[]> {
  const { chain, settled } = context
  const held = await Promise.all(
    chain.links.map(async ({ remote }) => {
      const twin = source.links.find((link) => isTwin(link, remote))
      return twin !== undefined && (await forkOne(remote, twin.remote, context)) ? settled : empty(remote, context)
    }),
  )
  // Only now: what the servers' copies no longer have, since it was acknowledged, has come here.
  for (const {
    remote: { span },
    inputs,
  } of chain.links) {
    const same = source.links.find((link) => link.remote.span.start === span.start)
    if (same === undefined) inputs.drop()
    else inputs.copyFrom(same.inputs, settled)
  }
  return held
}

function isTwin({ remote }: Link, { peerId, span }: RemoteSession): boolean {
  return (
    remote.lost === undefined &&
    remote.peerId === peerId &&
    remote.span.start === span.start &&
    remote.span.end === span.end
  )
}

/** False where the server refuses: then its span is replayed. */
async function forkOne(
  remote: RemoteSession,
  { sessionId }: RemoteSession,
  { epoch, settled, watchdog }: ReplayContext,
): Promise<boolean> {
  const request = remote.request({ kind: 'fork', epoch, position: settled, sessionId }, 'forked', ANSWER_TIMEOUT_MS)
  try {
    await whileAlive(request, remote, watchdog)
    return true
  } catch (error) {
    if (error instanceof RemoteError) return false
    remote.giveUp(error as Error)
    throw error
  }
}

/** A step that no server has done: whatever they hold goes. */
async function empty(remote: RemoteSession, { epoch, nextStep, watchdog }: ReplayContext): Promise<number> {
  const request = remote.request(
    { kind: 'resume', epoch, position: 0, until: nextStep() },
    'resumed',
    ANSWER_TIMEOUT_MS,
  )
  await ofLink(remote, whileAlive(request, remote, watchdog))
  return 0
}
