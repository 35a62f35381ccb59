import { PetalsError } from '../../base/errors.ts'

/** The kinds of errors that OpenAI's clients tell apart. */
export type ApiErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'server_error'
  | 'service_unavailable_error'

/** What is told besides the message. */
export interface ApiErrorDetails {
  readonly status: number
  readonly type: ApiErrorType
  /** What programs branch on, e.g. `model_not_found`. */
  readonly code: string
  /** The field of the request that is wrong, e.g. `messages[0].content`. */
  readonly param?: string | undefined
  /** When trying again may help: without it clients that retry do so at once. */
  readonly retryAfterSeconds?: number | undefined
  /** The methods that a path is answered for, where another was used. */
  readonly allow?: string | undefined
  /** Further fields of the answer, e.g. which blocks are missing. */
  readonly more?: Readonly<Record<string, unknown>> | undefined
}

/** The longest message: some quote what was asked. */
const MAX_CHARS = 1000

/** An answer to a client that is no success. */
export class ApiError extends PetalsError {
  readonly details: ApiErrorDetails

  constructor(message: string, details: ApiErrorDetails, options?: ErrorOptions) {
    super(details.code, message.length > MAX_CHARS ? `${message.slice(0, MAX_CHARS)}...` : message, options)
    this.details = details
  }
}

/** A request that cannot be answered as it is; `param` names the field. */
export function badRequest(message: string, param?: string, code = 'invalid_value'): ApiError {
  return new ApiError(message, { status: 400, type: 'invalid_request_error', code, param })
}

/** Nothing is there under this path or name. */
export function notFound(message: string, code = 'not_found', param?: string): ApiError {
  return new ApiError(message, { status: 404, type: 'not_found_error', code, param })
}

/** The server cannot answer just now. */
export function unavailable(
  message: string,
  code: string,
  retryAfterSeconds: number,
  more?: Readonly<Record<string, unknown>>,
): ApiError {
  return new ApiError(message, { status: 503, type: 'service_unavailable_error', code, retryAfterSeconds, more })
}
