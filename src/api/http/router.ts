import { ApiError, notFound } from '../errors/api-error.ts'
import type { Exchange } from './exchange.ts'

/** What answers requests of one method and path. */
export interface Route {
  readonly method: 'GET' | 'POST'
  /** A path; a `*` at its end stands for the rest, which the handler gets decoded. */
  readonly path: string
  /** Whether anybody may ask, also where keys are asked for. */
  readonly isOpen?: boolean
  /** The body of an answer that is an error; OpenAI's form unless told. */
  readonly errorBody?: (error: unknown, requestId: string) => object
  handle(exchange: Exchange, rest: string): Promise<void> | void
}

/** A route for a request, and what its `*` stands for. */
export interface Found {
  readonly route: Route
  readonly rest: string
}

/** Finds routes by method and path. HEAD is answered by the routes of GET. */
export class Router {
  readonly #exact = new Map<string, Route[]>()
  readonly #prefixes: { readonly prefix: string; readonly route: Route }[] = []

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      if (route.path.endsWith('*')) this.#prefixes.push({ prefix: route.path.slice(0, -1), route })
      else this.#exact.set(route.path, [...(this.#exact.get(route.path) ?? []), route])
    }
    // The longest prefix that fits is meant.
    this.#prefixes.sort((a, b) => b.prefix.length - a.prefix.length)
  }

  /** Throws an `ApiError` with status 404, or 405 where only the method is wrong. */
  find(method: string, path: string): Found {
    const wanted = method === 'HEAD' ? 'GET' : method
    const exact = this.#exact.get(path) ?? []
    const prefixed = this.#prefixes.filter(({ prefix }) => path.startsWith(prefix))
    const found = exact.find((route) => route.method === wanted)
    if (found !== undefined) return { route: found, rest: '' }
    const other = prefixed.find(({ route }) => route.method === wanted)
    if (other !== undefined) return { route: other.route, rest: decoded(path.slice(other.prefix.length)) }
    const methods = [...exact, ...prefixed.map(({ route }) => route)].map((route) => route.method)
    const allowed = [...new Set(methods)].flatMap((each) => (each === 'GET' ? [each, 'HEAD'] : [each]))
    if (allowed.length === 0) throw notFound(`there is nothing at ${path}${this.#hint(path)}`, 'unknown_url')
    throw new ApiError(`${method} is not answered here: use ${allowed.join(' or ')}`, {
      status: 405,
      type: 'invalid_request_error',
      code: 'method_not_allowed',
      allow: allowed.join(', '),
    })
  }

  /** Clients are given the address with `/v1` or without it, and some put it before their paths themselves. */
  #hint(path: string): string {
    const meant = `/v1${path.replace(/^(?:\/v1)+(?=\/)/, '')}`
    return meant !== path && this.#exact.has(meant)
      ? `: did you mean ${meant}? The client's base URL says what stands before it`
      : ''
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw notFound('the path cannot be decoded', 'unknown_url')
  }
}
