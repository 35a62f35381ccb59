import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** A port of 127.0.0.1 that nobody listens on, for a node whose link must know it first. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => {
    server.close(resolve)
  })
  return port
}

/** How a link behaves; both directions alike. */
export interface LinkOptions {
  /** How long a byte is under way, in milliseconds: half of a round trip. */
  readonly delayMs?: number
  /** Bytes per second of each direction, all connections together. */
  readonly bytesPerSecond?: number
}

/** Bytes that wait to be sent in one direction before the sender is no longer read: a router's queue. */
const QUEUE_BYTES = 256 << 10

/** A slow link in front of a port of this machine: a relay with a port of its own. */
export class Link {
  readonly port: number
  readonly #stop: () => Promise<void>
  readonly #sockets: Set<Socket>
  readonly #state: LinkState
  readonly #accepting: { now: boolean }

  /** Opens a link to a port on 127.0.0.1. */
  static async open(target: number, options: LinkOptions = {}): Promise<Link> {
    const sockets = new Set<Socket>()
    const state: LinkState = { frozen: Promise.resolve(), options }
    const accepting = { now: true }
    const [up, down] = [new Direction(state), new Direction(state)]
    const server = createServer({ noDelay: true }, (near) => {
      if (!accepting.now) return near.destroy()
      const far = connect({ host: '127.0.0.1', port: target, noDelay: true })
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          sockets.delete(socket)
          other.destroy()
        })
      }
      up.carry(near, far)
      down.carry(far, near)
      return undefined
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const stop = async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
    }
    return new Link((server.address() as AddressInfo).port, stop, { sockets, state, accepting })
  }

  private constructor(
    port: number,
    stop: () => Promise<void>,
    { sockets, state, accepting }: { sockets: Set<Socket>; state: LinkState; accepting: { now: boolean } },
  ) {
    this.port = port
    this.#stop = stop
    this.#sockets = sockets
    this.#state = state
    this.#accepting = accepting
  }

  /** The address of a node behind the link, as others are to dial it. */
  addressOf(peerId: string): string {
    return `/ip4/127.0.0.1/tcp/${this.port}/p2p/${peerId}`
  }

  /** Loses all connections, and every new one until `restore`. */
  cut(): void {
    this.#accepting.now = false
    for (const socket of this.#sockets) socket.destroy()
  }

  restore(): void {
    this.#accepting.now = true
  }

  /** Behaves otherwise from now on; what is under way already is not hurried. */
  become(options: LinkOptions): void {
    this.#state.options = options
  }

  /** Carries nothing until the returned function is called; connections stay open, and new ones are taken. */
  freeze(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#state.frozen = promise
    return resolve
  }

  async close(): Promise<void> {
    await this.#stop()
  }
}

interface LinkState {
  /** Resolves when the link carries bytes. */
  frozen: Promise<void>
  options: LinkOptions
}

/** One direction of a link. What one connection sends, those of others wait for. */
class Direction {
  readonly #state: LinkState
  /** When the last byte that was taken has left. */
  #freeAt = 0

  constructor(state: LinkState) {
    this.#state = state
  }

  carry(from: Socket, to: Socket): void {
    let queued = 0
    let [sent, arrived] = [Promise.resolve(), Promise.resolve()]
    from.on('data', (chunk: Buffer) => {
      const now = performance.now()
      const { delayMs = 0, bytesPerSecond = Infinity } = this.#state.options
      this.#freeAt = Math.max(now, this.#freeAt) + (chunk.byteLength * 1000) / bytesPerSecond
      queued += chunk.byteLength
      if (queued > QUEUE_BYTES) from.pause()
      const leavesAt = this.#freeAt
      sent = sent
        .then(() => until(leavesAt))
        .then(() => {
          queued -= chunk.byteLength
          if (queued <= QUEUE_BYTES / 2) from.resume()
        })
      arrived = arrived
        .then(() => until(leavesAt + delayMs))
        .then(() => this.#state.frozen)
        .then(() => void to.write(chunk))
    })
    from.on('end', () => void arrived.then(() => to.end()))
  }
}

/** Waits until a time of `performance.now()`. */
function until(time: number): Promise<void> | undefined {
  const ms = time - performance.now()
  if (ms <= 0) return undefined
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
