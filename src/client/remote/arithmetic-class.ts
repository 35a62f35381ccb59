import type { ServerRecord } from '../../swarm/records/record.ts'

/** Names what a server's results depend on besides its weights: servers of one class give the same tokens. */
export function arithmeticClass({ dtype, quant, kvDType, device }: ServerRecord): string {
  return [device, dtype, quant, ...(kvDType === undefined ? [] : [kvDType])].join('/')
}
