import type { Announcer } from './announce/announcer.ts'
import type { BlockServer } from './block-server.ts'

const POLL_MS = 50

/** Refuses new sessions, tells the swarm so, and waits until the open ones have ended or `timeoutMs` have passed. */
export async function drainSessions(blocks: BlockServer, announcer: Announcer, timeoutMs: number): Promise<void> {
  blocks.drain()
  await announcer.become('DRAINING')
  const until = performance.now() + timeoutMs
  while (blocks.numSessions > 0 && performance.now() < until) {
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS)
    })
  }
}
