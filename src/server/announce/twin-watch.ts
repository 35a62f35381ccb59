import { errorMessage } from '../../base/errors.ts'
import { parsePeerAddress } from '../../swarm/address.ts'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'

/** The same warning is given again after this time. */
const REPEAT_MS = 5 * 60_000

/**
 * Notices another node that uses this node's identity, as when a machine is copied with its key file. Each of the two
 * hides the other: peers keep one record, and one connection, for an identity. It shows as a record that this node has
 * not made. One that was issued since this node started can only be of another one; one from before may be of an
 * earlier run, so whoever it names is dialled: only a node with the key can answer. That one is shown this node's
 * record, so that both are told.
 */
export class TwinWatch {
  readonly #node: SwarmNode
  readonly #startedAt = Date.now()
  readonly #dialled = new Set<string>()
  #toldAt = -Infinity
  #release: () => void = () => undefined

  constructor(node: SwarmNode) {
    this.#node = node
  }

  start(): void {
    this.#release = this.#node.records.intake.onForeignOwn((record) => this.#onRecord(record))
    // Bootstrap addresses under this identity are this node's own, or another one's.
    for (const address of this.#elsewhere(this.#node.ownAddresses)) void this.#dial(address)
  }

  stop(): void {
    this.#release()
  }

  #onRecord({ state, issuedAt, multiaddrs }: ServerRecord): void {
    if (state === 'OFFLINE') return
    if (issuedAt > this.#startedAt) this.#tell(multiaddrs.join(', '))
    for (const address of this.#elsewhere(multiaddrs)) if (!this.#dialled.has(address)) void this.#dial(address)
  }

  /** Addresses at which this node itself is not to be found. */
  #elsewhere(addresses: readonly string[]): string[] {
    const { peerId, multiaddrs, listenedAddresses } = this.#node
    const own = new Set([...multiaddrs, ...listenedAddresses.map((address) => `${address}/p2p/${peerId}`)])
    return addresses
      .map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`))
      .filter((address) => !own.has(address) && this.#node.mayDial(address))
  }

  /** Dials an address as another peer, since libp2p does not dial its own identity. */
  async #dial(address: string): Promise<void> {
    this.#dialled.add(address)
    const { swarmKey, logger, records } = this.#node
    const prober = await createSwarmNode({ identity: await loadIdentity(), listen: [], swarmKey, logger })
    try {
      await prober.start()
      await prober.connect(address)
      this.#tell(address)
      const { ownRecord } = records.intake
      // It refuses a record that does not come from its owner, but has seen it then.
      if (ownRecord !== undefined) await prober.records.tell(parsePeerAddress(address), ownRecord)
    } catch (error) {
      logger.debug({ address, reason: errorMessage(error) }, 'nobody with this identity answers there')
    } finally {
      await prober.stop()
    }
  }

  #tell(where: string): void {
    const now = performance.now()
    if (now - this.#toldAt < REPEAT_MS) return
    this.#toldAt = now
    this.#node.logger.warn(
      { peerId: this.#node.peerId },
      `another node uses the same identity as this one, at ${where}: each hides the other from the swarm; ` +
        'give each its own --identity file',
    )
  }
}
