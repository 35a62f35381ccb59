import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ApiError } from '../errors/api-error.ts'
import { Caller } from './caller.ts'

/** A key that is let in. */
export interface ApiKey {
  readonly name: string
  readonly key: string
  readonly tokensPerDay?: number | undefined
}

/** Knows whose requests are answered. Keys are kept as digests only. */
export class AccessControl {
  /** Whom requests without a key are from. */
  readonly anonymous = new Caller('anonymous')
  readonly #callers = new Map<string, Caller>()

  /** Without keys everybody is let in. */
  constructor(keys: readonly ApiKey[]) {
    for (const { name, key, tokensPerDay } of keys) this.#callers.set(digest(key), new Caller(name, tokensPerDay))
  }

  get callers(): readonly Caller[] {
    return [this.anonymous, ...this.#callers.values()]
  }

  /**
   * Whom a request is from, by `Authorization: Bearer KEY` or `x-api-key: KEY`. Throws an `ApiError` with status 401.
   */
  identify(headers: IncomingHttpHeaders): Caller {
    if (this.#callers.size === 0) return this.anonymous
    const key = keyOf(headers)
    // Digests are looked up, so that the time it takes tells nothing about keys.
    const caller = key === undefined ? undefined : this.#callers.get(digest(key))
    if (caller !== undefined) return caller
    const message =
      key === undefined ? 'no key was given: send it as "Authorization: Bearer KEY"' : 'this key is not known here'
    throw new ApiError(message, { status: 401, type: 'authentication_error', code: 'invalid_api_key' })
  }
}

function keyOf({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): string | undefined {
  const [, bearer] = /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '') ?? []
  return bearer ?? (typeof apiKey === 'string' ? apiKey : undefined)
}

function digest(key: string): string {
  return createHash('sha256').update(key).digest('base64')
}
