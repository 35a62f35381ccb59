import type { TextEvent, TextRequest } from './text-request.ts'

/** What is measured of one request. */
export interface RequestMeter {
  /** It is its turn. */
  started(): void
  add(event: TextEvent): void
  /** It is over, in whatever way; called once. */
  ended(): void
}

/** What is measured of requests. */
export interface RequestMeters {
  begin(request: TextRequest): RequestMeter
}
