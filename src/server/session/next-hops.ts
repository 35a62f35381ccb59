import { PetalsError } from '../../base/errors.ts'
import type { PeerTarget } from '../../swarm/address.ts'
import type { Directory } from '../../swarm/records/directory.ts'

/** What is needed of the node and of discovery. */
export interface NextHopModules {
  isConnected(peerId: string): boolean
  readonly directory: Pick<Directory, 'get'>
  /** Asks the swarm for newer records. */
  refresh(): Promise<void>
}

/**
 * The most connections that one client may make this server open within `WINDOW_MS`: more than the sessions that a
 * client begins in that time.
 */
const MAX_DIALS = 60
const WINDOW_MS = 60_000

/**
 * Decides where a client's next server may be dialled. The client names only a peer; the addresses are those in the
 * peer's own signed record. Addresses from the client could make this server connect to anything.
 */
export class NextHops {
  readonly #modules: NextHopModules
  readonly #dials = new Map<string, number>()
  #windowBegan = 0

  constructor(modules: NextHopModules) {
    this.#modules = modules
  }

  /**
   * Where to dial a peer; counts the dial if there is no connection yet. Throws `HOP_UNKNOWN` for a peer that is not
   * known as a server of the model, or has said that it is OFFLINE, and `SWARM_BUSY` for a client with too many dials.
   */
  async admit(peerId: string, clientId: string): Promise<PeerTarget> {
    const { isConnected, directory, refresh } = this.#modules
    if (isConnected(peerId)) return { peerId, multiaddrs: [] }
    this.#countDial(clientId)
    if (directory.get(peerId) === undefined) await refresh()
    const record = directory.get(peerId)
    if (record === undefined || record.state === 'OFFLINE')
      throw new PetalsError(
        'HOP_UNKNOWN',
        `the next server, peer ${peerId.slice(0, 64)}, is not known here as one of this model`,
      )
    return { peerId, multiaddrs: record.multiaddrs }
  }

  /** Counts a dial for a client. Throws `SWARM_BUSY` if it is one too many. */
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
