import { UsageError } from '../../../base/errors.ts'
import { isPeerId } from '../../../swarm/address.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import { QUANTIZATIONS } from '../../../tensor/quantize.ts'

/** Which servers a client may use. */
export interface ServerChoiceOptions {
  /** Only these, by peer id, if any are named. */
  readonly allowedServers?: readonly string[] | undefined
  /** Never these. */
  readonly blockedServers?: readonly string[] | undefined
  /**
   * Only servers that compute with the weights as the checkpoint has them, in its dtype or in float32, and do not round
   * their cache.
   */
  readonly exact?: boolean | undefined
  /** Only servers whose records say this of their weights, e.g. `none` or `int8`. */
  readonly quant?: string | undefined
  /** Only servers that compute in this dtype. */
  readonly dtype?: string | undefined
}

/** What of a record says in which arithmetic the server computes. */
type Arithmetic = Pick<ServerRecord, 'dtype' | 'quant' | 'kvDType'>

/** The servers that a client's user allows. */
export class ServerChoice {
  readonly #allowed: ReadonlySet<string>
  readonly #blocked: ReadonlySet<string>
  readonly #arithmetic: Pick<ServerChoiceOptions, 'exact' | 'quant' | 'dtype'>
  readonly #checkpointDType: string

  /** Throws `USAGE` for a name that is no peer id. */
  constructor(
    { allowedServers = [], blockedServers = [], ...arithmetic }: ServerChoiceOptions,
    checkpointDType = 'float32',
  ) {
    for (const peerId of [...allowedServers, ...blockedServers]) {
      if (isPeerId(peerId)) continue
      throw new UsageError(
        `"${peerId}" is no peer id; servers are named like 12D3KooW..., as "petals-node status" shows`,
      )
    }
    this.#allowed = new Set(allowedServers)
    this.#blocked = new Set(blockedServers)
    this.#arithmetic = arithmetic
    this.#checkpointDType = checkpointDType
  }

  /** The servers that may be used. */
  among(records: readonly ServerRecord[]): readonly ServerRecord[] {
    return records.filter((record) => this.#isNamed(record) && this.#computesAsAsked(record))
  }

  /** What is said of servers that are left out for their arithmetic alone; empty if there are none. */
  leftOut(records: readonly ServerRecord[]): string {
    const others = records.filter((record) => this.#isNamed(record) && !this.#computesAsAsked(record))
    if (others.length === 0) return ''
    const forms = [...new Set(others.map(({ dtype, quant }) => (quant === 'none' ? dtype : `${dtype}/${quant}`)))]
    const { exact, quant, dtype } = this.#arithmetic
    const asked = [exact === true && 'exact', quant !== undefined && 'quant', dtype !== undefined && 'dtype']
    return `; left out: ${others.length} in ${forms.join(', ')}, by ${asked.filter(Boolean).join(', ')}`
  }

  #isNamed({ peerId }: ServerRecord): boolean {
    return (this.#allowed.size === 0 || this.#allowed.has(peerId)) && !this.#blocked.has(peerId)
  }

  #computesAsAsked(record: Arithmetic): boolean {
    const { exact = false, quant = record.quant, dtype = record.dtype } = this.#arithmetic
    if (record.quant !== quant || record.dtype !== dtype) return false
    return !exact || (!isRounded(record) && ['float32', this.#checkpointDType].includes(record.dtype))
  }
}

/** Whether a server has rounded the checkpoint's weights, or rounds what it caches. */
export function isRounded({ quant, kvDType, dtype }: Arithmetic): boolean {
  if (kvDType !== undefined && kvDType !== dtype) return true
  // A checkpoint that is quantized already, e.g. "gptq", is not rounded again; "fp8 int4" is.
  return quant.split(' ').some((format) => format !== 'none' && QUANTIZATIONS.some((known) => known === format))
}
