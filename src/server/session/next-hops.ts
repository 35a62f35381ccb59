import { PetalsError } from '../../base/errors.ts'
import type { PeerTarget } from '../../swarm/address.ts'
import type { Directory } from '../../swarm/records/directory.ts'

export interface NextHopModules {
  isConnected(peerId: string): boolean
  readonly directory: Pick<Directory, 'get'>
  /** Asks the swarm for newer records. */
  refresh(): Promise<void>
}

/**
 * New connections that one client may make this server open: more than the sessions that a client begins in a minute.
 */
const MAX_DIALS = 60
const WINDOW_MS = 60_000

/**
 * Where a client's next server may be dialled. A client names a peer; its addresses are taken from the peer's own
 * signed record and never from the client, who could otherwise make this server knock at any door.
 */
export class NextHops {
  readonly #modules: NextHopModules
  readonly #dials = new Map<string, number>()
  #windowBegan = 0

  constructor(modules: NextHopModules) {
    this.#modules = modules
  }

  /**
   * Counts what has to be dialled for it. Throws `HOP_UNKNOWN` for a peer that nobody knows as a server of the model,
   * `SWARM_BUSY` for a client that asks too often.
   */
  async admit(peerId: string, clientId: string): Promise<PeerTarget> {
    const { isConnected, directory, refresh } = this.#modules
    if (isConnected(peerId)) return { peerId, multiaddrs: [] }
    this.#countDial(clientId)
    if (directory.get(peerId) === undefined) await refresh()
    const record = directory.get(peerId)
    if (record === undefined)
      throw new PetalsError(
        'HOP_UNKNOWN',
        `the next server, peer ${peerId.slice(0, 64)}, is not known here as one of this model`,
      )
    return { peerId, multiaddrs: record.multiaddrs }
  }

  #countDial(clientId: string): void {
    const now = performance.now()
    if (now - this.#windowBegan > WINDOW_MS) {
      this.#windowBegan = now
      this.#dials.clear()
    }
    const numDials = (this.#dials.get(clientId) ?? 0) + 1
    if (numDials > MAX_DIALS)
      throw new PetalsError(
        'SWARM_BUSY',
        `this server has dialled ${MAX_DIALS} next servers for this client within a minute`,
      )
    this.#dials.set(clientId, numDials)
  }
}
