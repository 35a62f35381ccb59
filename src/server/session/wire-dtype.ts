import { PetalsError } from '../../base/errors.ts'
import { WIRE_DTYPES, type WireDType, isWireDType } from '../../tensor/activations.ts'

/**
 * The form in which a client wants activations, by its name; undefined: the dtype that they are computed in. Throws
 * `WIRE_DTYPE` for one that is not known here.
 */
export function askedWireDType(name: string | undefined): WireDType | undefined {
  if (name === undefined || isWireDType(name)) return name
  throw new PetalsError('WIRE_DTYPE', `activations as ${name} are not known here, only ${WIRE_DTYPES.join(', ')}`)
}
