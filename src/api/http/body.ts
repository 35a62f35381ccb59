import type { IncomingMessage } from 'node:http'
import { sharedTurns } from '../../base/shared-turns.ts'
import { ApiError, badRequest } from '../errors/api-error.ts'
import { JsonScan } from './json-scan.ts'

/** The largest body: a prompt of a few hundred thousand token ids, which is parsed in some 20 ms. */
const MAX_BODY_BYTES = 4 * 1024 * 1024

/** A body of more bytes takes about a millisecond or more to be parsed. */
const LARGE_BYTES = 1 << 18

/**
 * Reads a request's body as JSON. Throws an `ApiError` for another kind of content, more than `MAX_BODY_BYTES`, what
 * `JsonScan` refuses, and what is no JSON. How long a client may take is the HTTP server's own limit.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  // A page of another site can send forms and plain text without asking; JSON it cannot.
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type))
    throw refused(415, `the body is ${type === '' ? 'of no type' : type}: send it as application/json`)
  if (request.headers['content-encoding'] !== undefined)
    throw refused(415, `the body is encoded as ${request.headers['content-encoding']}: send it plainly`)
  const bytes = await readBytes(request)
  // Many requests come at once, and a large body fills a turn: what is done with it is left to the next.
  await sharedTurns.next()
  const body = parse(bytes)
  if (bytes.byteLength > LARGE_BYTES) await sharedTurns.next()
  return body
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    // The parser's own words quote the body.
    throw badRequest('the body is no valid JSON', undefined, 'invalid_json')
  }
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge()
  const parts: Buffer[] = []
  const scan = new JsonScan()
  let bytes = 0
  // A request that is left is not destroyed, since its answer is still to be sent.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.byteLength
    if (bytes > MAX_BODY_BYTES) throw tooLarge()
    scan.add(part)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function tooLarge(): ApiError {
  return refused(413, `the body is larger than ${MAX_BODY_BYTES} bytes`)
}

function refused(status: number, message: string): ApiError {
  const code = status === 413 ? 'body_too_large' : 'unsupported_media_type'
  return new ApiError(message, { status, type: 'invalid_request_error', code })
}
