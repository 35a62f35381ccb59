import type { IncomingMessage } from 'node:http'
import { ApiError, badRequest } from '../errors/api-error.ts'

/** The largest body: a prompt of a few hundred thousand token ids, which is parsed in some 20 ms. */
const MAX_BODY_BYTES = 4 * 1024 * 1024

/**
 * How many lists and objects may lie within each other: far more than schemas have, and few enough for whoever prints
 * them.
 */
const MAX_DEPTH = 1000

/**
 * Reads a request's body as JSON. Throws an `ApiError` for another kind of content, more than `MAX_BODY_BYTES`, more
 * than `MAX_DEPTH` levels, and what is no JSON. How long a client may take is the HTTP server's own limit.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  // A page of another site can send forms and plain text without asking; JSON it cannot.
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type))
    throw refused(415, `the body is ${type === '' ? 'of no type' : type}: send it as application/json`)
  if (request.headers['content-encoding'] !== undefined)
    throw refused(415, `the body is encoded as ${request.headers['content-encoding']}: send it plainly`)
  const bytes = await readBytes(request)
  if (depthOf(bytes) > MAX_DEPTH) throw badRequest(`the body is nested deeper than ${MAX_DEPTH} levels`)
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
  let bytes = 0
  // A request that is left is not destroyed, since its answer is still to be sent.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.byteLength
    if (bytes > MAX_BODY_BYTES) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\[]{}')

/** How deep lists and objects of a JSON text go. */
function depthOf(json: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]
    if (byte === QUOTE) inString = !inString
    else if (inString) i += byte === BACKSLASH ? 1 : 0
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) deepest = Math.max(deepest, ++depth)
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1
  }
  return deepest
}

function tooLarge(): ApiError {
  return refused(413, `the body is larger than ${MAX_BODY_BYTES} bytes`)
}

function refused(status: number, message: string): ApiError {
  const code = status === 413 ? 'body_too_large' : 'unsupported_media_type'
  return new ApiError(message, { status, type: 'invalid_request_error', code })
}
