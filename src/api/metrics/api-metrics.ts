import { Counter, Histogram, type Registry } from 'prom-client'
import type { AccessControl } from '../access/access-control.ts'
import type { Answered } from '../http/request-span.ts'
import { type Reading, registerCounters } from './read-metrics.ts'

const SECOND_BUCKETS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60]

/** Metrics of HTTP requests and of what each key's owner has used. Returns what counts requests. */
export function registerApiMetrics(registry: Registry, access: AccessControl): (answered: Answered) => void {
  const registers = [registry]
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'Requests that were answered; status 499: the client went away',
    labelNames: ['method', 'handler', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from a request to the end of its answer',
    labelNames: ['method', 'handler'],
    buckets: SECOND_BUCKETS,
    registers,
  })
  const perKey = (read: (caller: AccessControl['callers'][number]) => number) => (): Reading[] =>
    access.callers.map((caller) => ({ labels: { key: caller.name }, value: read(caller) }))
  registerCounters(
    registry,
    'petals_api_requests_total',
    'Requests for texts or embeddings, by whose key they came with',
    ['key'],
    perKey(({ used }) => used.requests),
  )
  registerCounters(registry, 'petals_api_tokens_total', 'Tokens of their prompts and answers', ['key', 'kind'], () =>
    access.callers.flatMap(({ name, used }) => [
      { labels: { key: name, kind: 'prompt' }, value: used.promptTokens },
      { labels: { key: name, kind: 'completion' }, value: used.completionTokens },
    ]),
  )
  return ({ route: handler, method, status, seconds: duration }) => {
    requests.inc({ method, handler, status })
    seconds.observe({ method, handler }, duration)
  }
}
