import { apiErrorOf } from '../errors/error-of.ts'

/** Anthropic's words for kinds of errors, by status. */
const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
}

/** An error in Anthropic's form. */
export function anthropicError(error: unknown, requestId: string): object {
  const { message, details } = apiErrorOf(error)
  const type = TYPES[details.status] ?? (details.status < 500 ? 'invalid_request_error' : 'api_error')
  return { type: 'error', error: { type, message, ...details.more }, request_id: requestId }
}
