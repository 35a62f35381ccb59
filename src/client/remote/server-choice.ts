import { UsageError } from '../../base/errors.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { isPeerId } from '../../swarm/address.ts'

/** Which servers a client may use, by peer id. */
export interface ServerChoiceOptions {
  /** Only these, if any are named. */
  readonly allowedServers?: readonly string[] | undefined
  /** Never these. */
  readonly blockedServers?: readonly string[] | undefined
}

/** The servers that a client's user allows. */
export class ServerChoice {
  readonly #allowed: ReadonlySet<string>
  readonly #blocked: ReadonlySet<string>

  /** Throws `USAGE` for a name that is no peer id. */
  constructor({ allowedServers = [], blockedServers = [] }: ServerChoiceOptions) {
    for (const peerId of [...allowedServers, ...blockedServers]) {
      if (isPeerId(peerId)) continue
      throw new UsageError(
        `"${peerId}" is no peer id; servers are named like 12D3KooW..., as "petals-node status" shows`,
      )
    }
    this.#allowed = new Set(allowedServers)
    this.#blocked = new Set(blockedServers)
  }

  among(records: readonly ServerRecord[]): readonly ServerRecord[] {
    if (this.#allowed.size === 0 && this.#blocked.size === 0) return records
    return records.filter(
      ({ peerId }) => (this.#allowed.size === 0 || this.#allowed.has(peerId)) && !this.#blocked.has(peerId),
    )
  }
}
