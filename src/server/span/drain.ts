import type { Announcer } from '../announce/announcer.ts'
import type { SessionRequests } from '../requests/session-requests.ts'

const POLL_MS = 50

/** Refuses new sessions, tells the swarm so, and waits until the open ones have ended or `timeoutMs` have passed. */
export async function drainSessions(sessions: SessionRequests, announcer: Announcer, timeoutMs: number): Promise<void> {
  sessions.drain()
  await announcer.become('DRAINING')
  const until = performance.now() + timeoutMs
  while (sessions.count > 0 && performance.now() < until) {
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS)
    })
  }
}
