import { isIP } from 'node:net'
import { ApiError } from '../errors/api-error.ts'

/** Which names the server answers to, and which other sites' pages may read its answers. */
export interface OriginRules {
  /** Host names besides localhost and addresses. */
  readonly allowedHosts: readonly string[]
  /** Origins of pages, or `*`. */
  readonly corsOrigins: readonly string[]
}

/**
 * Refuses requests for hosts that this server is not known as. A page of another site can have its own name point at
 * this machine (DNS rebinding), and its script would then be allowed to read answers; its requests carry that name.
 * Throws an `ApiError`.
 */
export function checkHost(host: string | undefined, { allowedHosts }: OriginRules): void {
  const name = hostName(host ?? '')
  if (name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0 || allowedHosts.includes(name)) return
  throw new ApiError(
    `this server is not known as ${JSON.stringify(name.slice(0, 100))}: allow it with --allowed-hosts`,
    {
      status: 403,
      type: 'permission_error',
      code: 'host_not_allowed',
    },
  )
}

/** The headers that let a page of `origin` read the answer; none where it may not. */
export function corsHeaders(origin: string | undefined, { corsOrigins }: OriginRules): Record<string, string> {
  if (origin === undefined || corsOrigins.length === 0) return {}
  if (!corsOrigins.includes('*') && !corsOrigins.includes(origin)) return { vary: 'origin' }
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'x-request-id, request-id, retry-after',
    vary: 'origin',
  }
}

/**
 * What a browser is told before it sends a request for a page, with the headers that it asks for: OpenAI's and
 * Anthropic's clients send a dozen of their own, other ones with each version, and none of them does any harm.
 */
export function preflightHeaders(asked: string | undefined): Record<string, string> {
  return {
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': asked ?? 'authorization, content-type, x-api-key',
    'access-control-max-age': '600',
  }
}

/** A Host header without its port, in lower case; an IPv6 address without brackets. */
function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(host)
  return (bracketed?.[1] ?? host.replace(/:\d+$/, '')).toLowerCase()
}
