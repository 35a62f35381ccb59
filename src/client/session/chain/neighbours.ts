import { sharedTurns } from '../../../base/shared-turns.ts'
import type { Link } from '../server/link.ts'
import type { RemoteSession } from '../server/remote-session.ts'
import { type WatchdogOptions, whileAlive } from '../server/watchdog.ts'

/** The time limit for a server that is told its next one: it dials that one, which may take long. */
const ROUTE_TIMEOUT_MS = 30_000

/** How often the way between two neighbours may fail before the client carries the hidden states itself. */
const LINK_FAILURES = 2

/** Joins each server of a chain with the next one, so that it pushes its outputs there. */
export class Neighbours {
  readonly #watchdog: WatchdogOptions
  /** How often a server's pushes to another one have failed, by both ids. */
  readonly #failures = new Map<string, number>()

  constructor(watchdog: WatchdogOptions) {
    this.#watchdog = watchdog
  }

  /**
   * Notes that what one server pushed did not get to the next one, and nobody can tell which of them is to blame. When
   * it comes again, the client carries the hidden states between these two.
   */
  linkFailed(before: RemoteSession, after: RemoteSession): void {
    const pair = pairOf(before, after)
    this.#failures.set(pair, (this.#failures.get(pair) ?? 0) + 1)
  }

  /** Has the client carry the hidden states between these two from the next `connect` on: so it shows who errs. */
  carryBetween(before: RemoteSession, after: RemoteSession): void {
    this.#failures.set(pairOf(before, after), LINK_FAILURES)
  }

  /**
   * Tells every server of a chain its next one, and that one who may push. If it cannot be dialled, or pushes to it
   * have failed, the client carries the hidden states itself. Throws where a server is lost.
   */
  async connect(links: readonly Link[]): Promise<void> {
    await Promise.all(links.slice(1).map((link, i) => this.#join(links[i]!, link)))
    // Many chains are answered at the same moment: their first steps are divided among turns of the event loop.
    await sharedTurns.next()
  }

  async #join(before: Link, { remote: after }: Link): Promise<void> {
    before.pushes = false
    const failures = this.#failures.get(pairOf(before.remote, after)) ?? 0
    const [peerId, sessionId, source] =
      failures < LINK_FAILURES ? [after.peerId, after.sessionId, before.remote.peerId] : []
    const wireDType = after.form.agreed
    const asked = [
      this.#ask(after, { kind: 'accept', peerId: source }, 'accepted'),
      this.#ask(before.remote, { kind: 'route', peerId, sessionId, wireDType }, 'routed'),
    ]
    const results = await Promise.all(asked)
    before.pushes = peerId !== undefined && results.every(Boolean)
  }

  /** Whether a server does as it is asked. Throws if it is lost. */
  async #ask(
    remote: RemoteSession,
    request: Parameters<RemoteSession['request']>[0],
    answerKind: 'accepted' | 'routed',
  ): Promise<boolean> {
    try {
      await whileAlive(remote.request(request, answerKind, ROUTE_TIMEOUT_MS), remote, this.#watchdog)
      return true
    } catch (error) {
      if (remote.lost !== undefined) throw error
      return false
    }
  }
}

function pairOf(before: RemoteSession, after: RemoteSession): string {
  return `${before.peerId} ${after.peerId}`
}
