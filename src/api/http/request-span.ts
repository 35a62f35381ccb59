import type { IncomingHttpHeaders } from 'node:http'

/** A request that has been answered: nothing of what it asked. */
export interface Answered {
  readonly route: string
  readonly method: string
  readonly status: number
  readonly seconds: number
  /** Whether an answer that had begun ended with an error of this server: a stream, whose status is 200. */
  readonly hasBrokenOff: boolean
  /** The model that answered, by the name that this server gives it, where the request was for one. */
  readonly model?: string | undefined
}

/** The span of a request, from when it came until it is answered. */
export interface RequestSpan {
  /** Does the request's work: whatever spans it begins are below this one. */
  run<T>(work: () => T): T
  /** Ends the span: as failed, where the status is 500 or more or the answer has broken off; `error` is why. */
  end(answered: Answered, error?: unknown): void
}

/** Takes the spans of HTTP requests. */
export interface RequestTracing {
  /** Begins a span, below that of the caller where the headers name one as W3C's Trace Context has it. */
  beginRequest(headers: IncomingHttpHeaders): RequestSpan
}
