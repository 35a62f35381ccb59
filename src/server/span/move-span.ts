import { PetalsError } from '../../base/errors.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'
import type { Announcer } from '../announce/announcer.ts'
import { drainSessions } from './drain.ts'
import type { SessionRequests } from '../requests/session-requests.ts'
import type { EngineKeeper } from './engine-keeper.ts'
import type { SpanLoader } from './span-loader.ts'

/** How long a server that moves waits for its sessions to end; clients carry on with others by a replay. */
const MOVE_DRAIN_MS = 30_000

/** What is loaded; another one after a move. */
export interface HeldSpan {
  loader: SpanLoader
}

export interface MoveModules {
  readonly span: HeldSpan
  readonly fetch: (start: number, signal: AbortSignal) => Promise<SpanLoader>
  readonly announcer: Announcer
  readonly keeper: EngineKeeper
  readonly sessions: SessionRequests
  readonly logger: SwarmLogger
}

/**
 * Downloads the span from `start` on while the present one is still served, drains, and loads it in its place. Rejects,
 * with nothing changed, if it cannot be downloaded, and with the signal's reason if the server drains for good.
 */
export async function moveSpan(
  { span, fetch, announcer, keeper, sessions, logger }: MoveModules,
  start: number,
  signal: AbortSignal,
): Promise<void> {
  const end = start + announcer.end - announcer.start
  logger.info({ blocks: `${start}:${end}` }, 'the swarm needs other blocks more: moving')
  const last = span.loader
  const next = await fetch(start, signal)
  await drainSessions(sessions, announcer, MOVE_DRAIN_MS)
  if (signal.aborted) {
    await next.release()
    throw signal.reason
  }
  await keeper.replace(new PetalsError('DRAINING', 'this server has moved to other blocks'), () => {
    span.loader = next
    announcer.hold(start, end)
    sessions.admit()
  })
  // A server that is stopped meanwhile has not moved.
  await (span.loader === next ? last : next).release()
}
