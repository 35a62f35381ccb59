import type { IncomingMessage } from 'node:http'
import { ApiError, badRequest } from '../errors/api-error.ts'

/** The largest body: a prompt of a few hundred thousand token ids, which is parsed in some 20 ms. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024

/**
 * Reads a request's body as JSON. Throws an `ApiError` for another kind of content, more than `MAX_BODY_BYTES`, and
 * what is no JSON. How long a client may take is the HTTP server's own limit.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  // A page of another site can send forms and plain text without asking; JSON it cannot.
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type))
    throw refused(415, `the body is ${type === '' ? 'of no type' : type}: send it as application/json`)
  if (request.headers['content-encoding'] !== undefined)
    throw refused(415, `the body is encoded as ${request.headers['content-encoding']}: send it plainly`)
  const text = await readText(request)
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's own words quote the body.
    throw badRequest('the body is no valid JSON', undefined, 'invalid_json')
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge()
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.byteLength
    if (bytes > MAX_BODY_BYTES) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function tooLarge(): ApiError {
  return refused(413, `the body is larger than ${MAX_BODY_BYTES} bytes`)
}

function refused(status: number, message: string): ApiError {
  const code = status === 413 ? 'body_too_large' : 'unsupported_media_type'
  return new ApiError(message, { status, type: 'invalid_request_error', code })
}
