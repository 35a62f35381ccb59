import { type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ApiError } from '../errors/api-error.ts'
import { errorBody } from '../errors/error-of.ts'

/** Answers in the form of all errors what never becomes a request: Node's own answers have no body. */
export function answerBroken(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // In the middle of an answer, which would end in another one.
    const answering = (socket as AnsweringSocket)._httpMessage?.headersSent === true
    if (!socket.writable || answering || error.code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const { status, code, message } = BROKEN[error.code ?? ''] ?? NO_HTTP
    const body = JSON.stringify(errorBody(refused(status, code, message)))
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  })
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const message = `nothing is known of what is expected (${String(request.headers.expect).slice(0, 40)})`
    const body = JSON.stringify(errorBody(refused(417, 'expectation_failed', message)))
    response.writeHead(417, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    })
    response.end(body)
  })
}

/** Node's own member of a connection, which is the answer that is being sent on it. */
type AnsweringSocket = Duplex & { readonly _httpMessage?: ServerResponse | null }

interface Broken {
  readonly status: number
  readonly code: string
  readonly message: string
}

const NO_HTTP: Broken = { status: 400, code: 'invalid_http', message: 'this is no request of HTTP/1.1' }

/** By Node's codes. */
const BROKEN: Readonly<Record<string, Broken>> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'headers_too_large', message: 'the headers are larger than 16 KiB' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    code: 'body_too_large',
    message: 'the extensions of a chunk are too large',
  },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'request_timeout', message: 'the request took too long to come' },
}

function refused(status: number, code: string, message: string): ApiError {
  return new ApiError(message, { status, type: 'invalid_request_error', code })
}
