import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import {
  type AbortOptions,
  type ConnectionProtector,
  InvalidCryptoExchangeError,
  type MessageStream,
} from '@libp2p/interface'
import { AbstractMessageStream, type SendResult, byteStream } from '@libp2p/utils'
import { xsalsa20 } from '@noble/ciphers/salsa.js'
import { Uint8ArrayList } from 'uint8arraylist'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { SWARM_KEY_BYTES } from './swarm-key.ts'

const NONCE_BYTES = 24
const BLOCK_BYTES = 64

/** Bytes that are copied and encrypted at a time; a message of any length needs only this much extra memory. */
const PIECE_BYTES = 64 << 10

/**
 * The last value of the cipher's 32-bit block counter, reached after 256 GiB in one direction; then the connection must
 * be dialled again.
 */
const MAX_BLOCKS = 2 ** 32 - 1

/**
 * A connection protector that keeps out everybody without the swarm's key, below libp2p's own encryption. Each side
 * sends a random nonce in clear; all further bytes are encrypted with XSalsa20. The bytes on the wire are those of
 * libp2p's `pnet`, whose implementation ends the process with messages of megabytes.
 */
export function privateNetwork(key: Uint8Array): () => ConnectionProtector {
  if (key.byteLength !== SWARM_KEY_BYTES) {
    throw new SwarmError('SWARM_KEY', `a swarm key of ${key.byteLength} bytes: it has ${SWARM_KEY_BYTES}`)
  }
  return () => ({ protect: (connection, options) => protect(connection, key, options) })
}

async function protect(connection: MessageStream, key: Uint8Array, options?: AbortOptions): Promise<MessageStream> {
  const nonce = randomBytes(NONCE_BYTES)
  const remoteNonce = await exchangeNonces(connection, nonce, options)
  return new ProtectedStream(connection, new KeyStream(key, nonce), new KeyStream(key, remoteNonce))
}

async function exchangeNonces(
  connection: MessageStream,
  nonce: Uint8Array,
  options?: AbortOptions,
): Promise<Uint8Array> {
  const bytes = byteStream(connection)
  try {
    await bytes.write(nonce, options)
    const remoteNonce = await bytes.read({ ...options, bytes: NONCE_BYTES })
    bytes.unwrap()
    if (connection.status === 'open') return remoteNonce.subarray()
  } catch (error) {
    throw new InvalidCryptoExchangeError(`no nonce of the private network came: ${errorMessage(error)}`)
  }
  throw new InvalidCryptoExchangeError('the peer closed the connection after its nonce')
}

/** Encrypts or decrypts a stream of bytes with XSalsa20; the stream may be cut anywhere. */
export class KeyStream {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array
  #block = 0
  /** How many bytes of the current block have been used. */
  #used = 0

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#key = Uint8Array.from(key)
    this.#nonce = Uint8Array.from(nonce)
  }

  /** The next bytes, encrypted or decrypted, in new memory. Throws `SWARM_KEY` at the end of the key stream. */
  apply(data: Uint8Array | Uint8ArrayList): Uint8ArrayList {
    const output = new Uint8ArrayList()
    for (let from = 0; from < data.byteLength; from += PIECE_BYTES) {
      output.append(this.#piece(data.subarray(from, Math.min(from + PIECE_BYTES, data.byteLength))))
    }
    return output
  }

  #piece(data: Uint8Array): Uint8Array {
    const end = this.#used + data.byteLength
    if (this.#block + Math.ceil(end / BLOCK_BYTES) >= MAX_BLOCKS) {
      throw new SwarmError(
        'SWARM_KEY',
        'this connection has carried all that one nonce of the swarm key may; it is dialled anew',
      )
    }
    // The used part of the current block is computed again and left out of the result.
    const blocks = Buffer.allocUnsafe(end)
    blocks.set(data, this.#used)
    xsalsa20(this.#key, this.#nonce, blocks, blocks, this.#block)
    const piece = blocks.subarray(this.#used)
    this.#block += Math.floor(end / BLOCK_BYTES)
    this.#used = end % BLOCK_BYTES
    return piece
  }
}

class ProtectedStream extends AbstractMessageStream {
  /** Where its bytes go in the end, if that is a socket. */
  readonly socket: Socket | undefined
  readonly #connection: MessageStream
  readonly #outbound: KeyStream

  constructor(connection: MessageStream, outbound: KeyStream, inbound: KeyStream) {
    super({
      log: connection.log,
      direction: connection.direction,
      inactivityTimeout: connection.inactivityTimeout,
      maxReadBufferLength: connection.maxReadBufferLength,
    })
    this.#connection = connection
    this.socket = (connection as { readonly socket?: Socket }).socket
    this.#outbound = outbound
    connection.addEventListener('message', ({ data }) => {
      try {
        this.onData(inbound.apply(data))
      } catch (error) {
        this.abort(error as Error)
      }
    })
    connection.addEventListener('drain', () => this.safeDispatchEvent('drain'))
    connection.addEventListener('remoteCloseWrite', () => this.onRemoteCloseWrite())
    connection.addEventListener('close', (event) => {
      if (event.error === undefined) this.onTransportClosed()
      else if (event.local === true) this.abort(event.error)
      else this.onRemoteReset()
    })
  }

  override close(options?: AbortOptions): Promise<void> {
    return this.#connection.close(options)
  }

  override sendData(data: Uint8ArrayList): SendResult {
    return { sentBytes: data.byteLength, canSendMore: this.#connection.send(this.#outbound.apply(data)) }
  }

  override sendReset(error: Error): void {
    this.#connection.abort(error)
  }

  override sendPause(): void {
    this.#connection.pause()
  }

  override sendResume(): void {
    this.#connection.resume()
  }
}
