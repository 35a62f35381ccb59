import type { RequestTrace } from './trace.ts'

/** What a span says of its work: sizes and places, never values that were computed, nor who asked for them. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

/** The span of a request that is under way. */
export interface OpenSpan {
  /** Notes what happens just now. */
  event(name: string, attributes?: SpanAttributes): void
  /** Ends the span; with `error`, as failed. */
  end(attributes?: SpanAttributes, error?: unknown): void
}

/**
 * Takes the spans of traces, which show where requests spent their time. All nodes that a request passes know its id
 * (`trace`, as `newTrace` makes it), which is enough to put their spans under that of the client; where the client's
 * request is itself part of something larger they know that one's trace as well (`context`).
 */
export interface Tracing {
  /** Begins the span of a client's own request; there is one of each `trace`. */
  begin(trace: string, name: string, attributes: SpanAttributes): OpenSpan
  /** The trace that a request begun here and now is part of: the hex digits of its id and flags, 17 bytes. */
  context?(): string | undefined
  /** Tells that what is done here and now goes on with the request of `trace`, which was begun before. */
  reuses?(trace: string): void
  /** Tells of work for somebody's request: from `beganMs`, a time of `performance.now()`, until now. */
  served(request: RequestTrace, name: string, beganMs: number, attributes: SpanAttributes): void
}
