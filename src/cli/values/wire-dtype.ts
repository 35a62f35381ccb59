import type { WireChoice } from '../../client/remote/routes/wire-dtype.ts'

/** Reads `--wire-dtype`, whose choices have been checked. */
export function parseWireDType(value: string): WireChoice {
  return value as WireChoice
}
