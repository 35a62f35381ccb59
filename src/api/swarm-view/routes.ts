import { unavailable } from '../errors/api-error.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Route } from '../http/router.ts'
import type { SwarmSnapshot } from './snapshot.ts'
import type { SwarmWatch } from './swarm-watch.ts'

/** How many pages may watch at once: what they are told is made once for all of them. */
const MAX_WATCHERS = 64

/** `/swarm.json`, the swarm as it is known now, and `/swarm/events`, the same as it changes. */
export function swarmRoutes(watch: SwarmWatch): Route[] {
  return [
    {
      method: 'GET',
      path: '/swarm.json',
      handle: (exchange) => exchange.sendJson(200, watch.snapshot(), { 'cache-control': 'no-store' }),
    },
    { method: 'GET', path: '/swarm/events', handle: (exchange) => tellSwarm(watch, exchange) },
  ]
}

/** Sends a snapshot at each change until the client goes or the server ends. Who reads slowly gets fewer of them. */
async function tellSwarm(watch: SwarmWatch, exchange: Exchange): Promise<void> {
  if (watch.numListeners >= MAX_WATCHERS) throw unavailable('too many pages are open', 'too_many_watchers', 5)
  if (exchange.method === 'HEAD') return exchange.send(200, 'text/event-stream; charset=utf-8', '')
  const { signal } = exchange
  const events = exchange.events()
  let next = upcoming()
  const stop = watch.listen((snapshot) => next.resolve(snapshot))
  const onEnd = (): void => next.resolve(undefined)
  const ended = AbortSignal.any([signal, watch.stopped])
  ended.addEventListener('abort', onEnd, { once: true })
  try {
    let snapshot: SwarmSnapshot | undefined = watch.snapshot()
    while (snapshot !== undefined && !ended.aborted) {
      next = upcoming()
      await events.send(textOf(snapshot))
      snapshot = await next.promise
    }
  } finally {
    stop()
    ended.removeEventListener('abort', onEnd)
    events.end()
  }
}

/** What is told next; undefined at the end. */
function upcoming(): PromiseWithResolvers<SwarmSnapshot | undefined> {
  return Promise.withResolvers()
}

const texts = new WeakMap<SwarmSnapshot, string>()

/** A snapshot as JSON, made once for all who are told. */
function textOf(snapshot: SwarmSnapshot): string {
  const text = texts.get(snapshot) ?? JSON.stringify(snapshot)
  texts.set(snapshot, text)
  return text
}
