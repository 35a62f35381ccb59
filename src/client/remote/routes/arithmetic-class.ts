import type { ServerRecord } from '../../../swarm/records/record.ts'
import { type WireChoice, agreedWireDType } from './wire-dtype.ts'

/**
 * Names what a server's results depend on besides its weights: servers of one class give the same tokens. One that does
 * not know the form in which activations are to travel rounds them otherwise.
 */
export function arithmeticClass(server: ServerRecord, wireDType: WireChoice = 'auto'): string {
  const { dtype, quant, kvDType, device } = server
  const isUnrounded = wireDType !== 'auto' && agreedWireDType(server, wireDType) === undefined
  return [
    device,
    dtype,
    quant,
    ...(kvDType === undefined ? [] : [kvDType]),
    ...(isUnrounded ? ['unrounded'] : []),
  ].join('/')
}
