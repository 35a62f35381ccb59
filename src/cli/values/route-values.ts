import type { OptionValues } from '../options/option-table.ts'
import type { routeOptions } from '../options/tables/swarm-options.ts'
import { parseReplayCopies } from './replay-copies.ts'
import { parseWireDType } from './wire-dtype.ts'

/** What a client is told of the servers that it may use, and how long it waits for them. Throws `USAGE`. */
export function routeValues(values: OptionValues<typeof routeOptions>) {
  const { allowedServers, blockedServers, exact, quant, dtype, stepTimeout, replayCopies, wireDtype, wait } = values
  return {
    allowedServers,
    blockedServers,
    exact,
    quant,
    dtype,
    stepTimeoutMs: stepTimeout * 1000,
    replayCopies: parseReplayCopies(replayCopies),
    wireDType: parseWireDType(wireDtype),
    recoveryTimeoutMs: wait * 1000,
  }
}
