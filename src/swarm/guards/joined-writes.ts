import type { Socket } from 'node:net'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import type { SendResult } from '@libp2p/utils'
import { Uint8ArrayList } from 'uint8arraylist'

/** The private members through which a noise connection writes to its socket; not all connections have one. */
interface ConnectionInternals {
  sendData: (data: Uint8ArrayList) => SendResult
  readonly socket?: Corkable
}

type Corkable = Pick<Socket, 'cork' | 'uncork'>

/** Above this size, copying costs more than the system call that it saves. */
const JOIN_BYTES = 128 << 10

type EncrypterFactory<Components> = (components: Components) => ConnectionEncrypter

/**
 * Wraps an encrypter so that its connections write each packet with one system call, and all packets of one turn of the
 * event loop but the first with one. noise writes a packet's length and its contents separately: two system calls, two
 * TCP segments and two wake-ups of the peer; and the steps of many sessions are a packet each.
 */
export function joiningWrites<Components>(create: EncrypterFactory<Components>): EncrypterFactory<Components> {
  return (components) => {
    const encrypter = create(components)
    const secureInbound = encrypter.secureInbound.bind(encrypter)
    const secureOutbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = (connection, options) => secureInbound(joinWrites(connection), options)
    encrypter.secureOutbound = (connection, options) => secureOutbound(joinWrites(connection), options)
    return encrypter
  }
}

/** Makes a connection write the pieces of a small message as one, and messages that come together. */
export function joinWrites<Connection extends MessageStream>(connection: Connection): Connection {
  const internal = connection as unknown as ConnectionInternals
  if (typeof internal.sendData !== 'function')
    throw new TypeError('this release of libp2p has other connections than the guards know: use ^3.3.11')
  const sendData = internal.sendData.bind(connection)
  const { socket } = internal
  const turn = socket === undefined ? undefined : new WriteTurn(socket)
  internal.sendData = (data) => {
    turn?.writes()
    const result = sendData(data.byteLength > JOIN_BYTES ? data : new Uint8ArrayList(data.subarray()))
    if (!result.canSendMore) turn?.flush()
    return result
  }
  return connection
}

/** The first message of a turn of the event loop goes out at once; those behind it wait for each other. */
class WriteTurn {
  readonly #socket: Corkable
  #hasWritten = false
  #isCorked = false

  constructor(socket: Corkable) {
    this.#socket = socket
  }

  /** To be called before each write. */
  writes(): void {
    if (!this.#hasWritten) {
      this.#hasWritten = true
      setImmediate(() => {
        this.#hasWritten = false
        this.flush()
      })
    } else if (!this.#isCorked) {
      this.#isCorked = true
      this.#socket.cork()
    }
  }

  /** Has what waits go out. */
  flush(): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#socket.uncork()
  }
}
