import type { Socket } from 'node:net'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import type { SendResult } from '@libp2p/utils'
import { sharedTurns } from '../../base/shared-turns.ts'
import { Uint8ArrayList } from 'uint8arraylist'

/** The private members through which a noise connection writes to its socket; not all connections have one. */
interface ConnectionInternals {
  readonly socket?: Socket
  sendData: (data: Uint8ArrayList) => SendResult
}

/**
 * What is copied into one write, at most, is two of noise's largest packets and their lengths: beyond it, copying costs
 * more than the system call that it saves.
 */
const JOIN_BYTES = 2 * (2 + 65_535)

type EncrypterFactory<Components> = (components: Components) => ConnectionEncrypter

/**
 * Wraps an encrypter so that its connections write all packets of one turn of the event loop with one system call:
 * outputs of many sessions that one run has computed, for example. noise would write even a packet's length and its
 * contents separately: system calls, TCP segments and wake-ups of the peer for pieces of a few bytes.
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

/** Makes a connection write the pieces of a message together, as many as are worth it, and all messages of a turn. */
export function joinWrites<Connection extends MessageStream>(connection: Connection): Connection {
  const internal = connection as unknown as ConnectionInternals
  if (typeof internal.sendData !== 'function')
    throw new TypeError('this release of libp2p has other connections than the guards know: use ^3.3.11')
  const sendData = internal.sendData.bind(connection)
  const hold = holder(internal.socket)
  internal.sendData = (data) => {
    hold()
    return sendData(joined(data))
  }
  return connection
}

/** Makes the function that keeps a socket from writing until the turn of the event loop is over. */
function holder(socket: Socket | undefined): () => void {
  let isHeld = false
  const letGo = (): void => {
    isHeld = false
    socket?.uncork()
  }
  return () => {
    if (isHeld || socket === undefined) return
    isHeld = true
    socket.cork()
    sharedTurns.behind(letGo)
  }
}

function joined(data: Uint8ArrayList): Uint8ArrayList {
  if (data.byteLength <= JOIN_BYTES) return new Uint8ArrayList(data.subarray())
  const writes = new Uint8ArrayList()
  let from = 0
  let end = 0
  for (const { byteLength } of data) {
    if (end > from && end + byteLength - from > JOIN_BYTES) {
      writes.append(data.subarray(from, end))
      from = end
    }
    end += byteLength
  }
  writes.append(data.subarray(from, end))
  return writes
}
