import { PetalsError, UsageError, errorMessage, isTransient } from '../../base/errors.ts'
import { spansOf } from '../../base/span.ts'
import { ChatTemplateError } from '../../client/chat/template-source.ts'
import { NoRouteError } from '../../client/remote/routes/routing.ts'
import { ApiError, badRequest, unavailable } from './api-error.ts'

/** Seconds after which a swarm that lacks blocks may have them again: a server that is started anew is back by then. */
const RETRY_AFTER_SECONDS = 10

/** Codes of errors that the request itself is the reason of. */
const REQUEST_CODES: Readonly<Record<string, string>> = {
  CHAT_TOO_LONG: 'context_length_exceeded',
  SESSION_TOO_LONG: 'context_length_exceeded',
  TOKEN_ID: 'invalid_token_id',
  CONSTRAINT_INVALID: 'invalid_schema',
  CONSTRAINT_TOO_LARGE: 'schema_too_large',
  CONSTRAINT_UNSATISFIABLE: 'schema_unsatisfiable',
  CONSTRAINT_UNSUPPORTED: 'unsupported_schema',
}

/**
 * The answer to a client for anything that was thrown: without addresses of peers and paths of this machine, which the
 * log has. Of what this project did not raise, nothing is told.
 */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof NoRouteError) {
    const missing = error.missingBlocks.length > 0 ? { missing_blocks: error.missingBlocks } : undefined
    return unavailable(lackOf(error.missingBlocks), 'no_route', RETRY_AFTER_SECONDS, missing)
  }
  if (error instanceof ChatTemplateError)
    return badRequest(`the model's chat template: ${error.reason}`, undefined, 'chat_template')
  if (error instanceof UsageError) return badRequest(error.message)
  if (!(error instanceof PetalsError)) return internal('internal error', 'internal_error', error)
  const code = REQUEST_CODES[error.code]
  if (code !== undefined) return badRequest(error.message, undefined, code)
  if (isTransient(error) || error.code === 'CACHE_FULL')
    return unavailable(errorMessage(error), error.code.toLowerCase(), RETRY_AFTER_SECONDS)
  return internal(error.message, error.code.toLowerCase(), error)
}

function lackOf(missingBlocks: readonly number[]): string {
  if (missingBlocks.length === 0) return 'no server of the swarm can be reached just now'
  return `nobody who can be reached serves blocks ${spansOf(missingBlocks).join(', ')} of the model just now`
}

/** An error in OpenAI's form. */
export function errorBody(error: unknown): object {
  const { message, details } = apiErrorOf(error)
  const { type, code, param = null, more } = details
  return { error: { message, type, param, code, ...more } }
}

function internal(message: string, code: string, cause: unknown): ApiError {
  return new ApiError(message, { status: 500, type: 'server_error', code }, { cause })
}
