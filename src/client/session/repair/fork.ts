import { PetalsError } from '../../../base/errors.ts'
import { RemoteError } from '../../../swarm/frames/remote-error.ts'
import type { Chain } from '../chain/chain.ts'
import type { Link } from '../server/link.ts'
import type { RemoteSession } from '../server/remote-session.ts'
import { ANSWER_TIMEOUT_MS, type ReplayContext, orGiveUp } from './replay.ts'
import { whileAlive } from '../server/watchdog.ts'

/** How a session is forked. */
export interface ForkOptions {
  /** Whether it fails, at once, where a server cannot copy; otherwise the servers compute what they cannot copy. */
  readonly onlyCopies?: boolean | undefined
}

/** The size of a session. */
interface Extent {
  readonly start: number
  readonly end: number
  readonly maxLength: number
  readonly position: number
}

/**
 * Throws `SESSION_FORK`, `SESSION_POSITION` or `SESSION_OVERFLOW` if a session cannot hold the first `position` tokens
 * of another one.
 */
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
 * Makes a chain hold the first `settled` tokens of `source`, another chain over the same blocks. A server that holds
 * the same blocks for both chains copies its cache; every other server's is emptied. The client takes over the inputs
 * that a later replay needs. Returns how many tokens each server holds then.
 */
export async function forkAll(context: ReplayContext, source: Chain): Promise<number[]> {
  const { chain, settled } = context
  const held = await Promise.all(
    chain.links.map(async ({ remote }) => {
      const twin = source.links.find((link) => isTwin(link, remote))
      return twin !== undefined && (await forkOne(remote, twin.remote, context)) ? settled : emptyCache(remote, context)
    }),
  )
  // Only after the servers have copied: outputs that they no longer keep have been acknowledged, so they have arrived
  // here by now.
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

/** Whether a link is the same server with the same blocks. */
function isTwin({ remote }: Link, { peerId, span }: RemoteSession): boolean {
  return (
    remote.lost === undefined &&
    remote.peerId === peerId &&
    remote.span.start === span.start &&
    remote.span.end === span.end
  )
}

/** Makes a server copy another session's cache. False if the server refuses: its span must be replayed. */
async function forkOne(
  remote: RemoteSession,
  { sessionId }: RemoteSession,
  { epoch, settled, watchdog, numbers }: ReplayContext,
): Promise<boolean> {
  const fork = { kind: 'fork', epoch, position: settled, sessionId, until: numbers.next() } as const
  const request = remote.request(fork, 'forked', ANSWER_TIMEOUT_MS)
  try {
    await whileAlive(request, remote, watchdog)
    return true
  } catch (error) {
    if (error instanceof RemoteError) return false
    remote.giveUp(error as Error)
    throw error
  }
}

/**
 * Empties a session's cache on a server: resumes after a step that no server has done, at position 0. Returns 0, the
 * number of tokens then held.
 */
async function emptyCache(remote: RemoteSession, { epoch, numbers, watchdog }: ReplayContext): Promise<number> {
  const request = remote.request(
    { kind: 'resume', epoch, position: 0, until: numbers.next() },
    'resumed',
    ANSWER_TIMEOUT_MS,
  )
  await orGiveUp(remote, whileAlive(request, remote, watchdog))
  return 0
}
