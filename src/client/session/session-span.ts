import type { EventEmitter } from 'node:events'
import { errorCode } from '../../base/errors.ts'
import { spanText } from '../../base/span.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import type { SessionEvents } from './repair/reports.ts'

/** The part of a session that its span tells of. */
interface TracedSession<Session> extends EventEmitter<SessionEvents<Session>> {
  readonly trace: string
  readonly start: number
  readonly end: number
  readonly position: number
  readonly replayedTokens: number
}

/** Makes one span of a session, from now until it is closed, with its routes and repairs as events. */
export function traceSession<Session>(session: TracedSession<Session>, tracing: Tracing): void {
  const { trace, start, end } = session
  const span = tracing.begin(trace, 'session', { 'petals.blocks': spanText([start, end]) })
  session.on('route', (hops) => {
    const route = hops.map(({ peerId, start, end }) => `${spanText([start, end])} ${peerId}`).join(', ')
    span.event('route', { 'petals.route': route })
  })
  session.on('lost', (error) => span.event('lost', { 'error.type': errorCode(error) }))
  session.on('recovery', ({ lost, seconds, replayedTokens }) =>
    span.event('recovery', {
      'petals.lost': lost.length,
      'petals.seconds': seconds,
      'petals.replayed_tokens': replayedTokens,
    }),
  )
  session.on('close', () =>
    span.end({ 'petals.position': session.position, 'petals.replayed_tokens': session.replayedTokens }),
  )
}
