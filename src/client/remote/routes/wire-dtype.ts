import { UsageError } from '../../../base/errors.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import { type Activations, WIRE_DTYPES, type WireDType, isWireDType, travelDType } from '../../../tensor/activations.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { decodeActivations, encodeFinite } from '../../../tensor/travel.ts'

/** The form in which activations are to travel; `auto`: the dtype of each server's arithmetic. */
export type WireChoice = 'auto' | WireDType

/**
 * Throws `USAGE` for what is none, programs in JavaScript having nobody else to tell them, and for one that rounds
 * where nothing must be.
 */
export function checkWireChoice(
  choice: string,
  { exact = false }: { readonly exact?: boolean | undefined } = {},
): void {
  if (exact && isWireDType(choice) && choice !== 'float32')
    throw new UsageError(
      `exact and wireDType ${choice}: hidden states would be rounded on their way; leave one out, or take float32`,
    )
  if (choice === 'auto' || isWireDType(choice)) return
  throw new UsageError(`wireDType is ${JSON.stringify(choice)}: expected one of auto, ${WIRE_DTYPES.join(', ')}`)
}

type WireRecord = Pick<ServerRecord, 'dtype' | 'wireDTypes'>

/**
 * The form that a server is asked for: the client's choice, where the server's record has it. Undefined: the server's
 * own dtype, as for servers that do not know of forms.
 */
export function agreedWireDType({ wireDTypes = [] }: WireRecord, choice: WireChoice): WireDType | undefined {
  return choice !== 'auto' && wireDTypes.includes(choice) ? choice : undefined
}

/** The dtype of what a server sends. */
export function answerDType(server: WireRecord, choice: WireChoice): string {
  const agreed = agreedWireDType(server, choice)
  return agreed === undefined ? server.dtype : travelDType(agreed)
}

/**
 * The client's own hidden states as they are sent to a server: in the agreed form, or rounded as the server would round
 * them itself. Throws `WIRE_DTYPE` for values that are too large for it.
 */
export async function encodeOwn(values: Tensor, server: WireRecord, choice: WireChoice): Promise<Activations> {
  const agreed = agreedWireDType(server, choice)
  if (agreed !== undefined) return agreed === values.dtype ? values : encodeFinite(values, agreed, 'there are')
  const { dtype } = server
  const isNarrower = values.dtype === 'float32' && (dtype === 'float16' || dtype === 'bfloat16')
  return isNarrower ? encodeFinite(values, dtype, 'there are') : values
}

/** What another server has made, as it is sent on to this one: the same values, as floats where it takes no others. */
export async function passOn(hidden: Activations, { wireDTypes = [] }: WireRecord): Promise<Activations> {
  return hidden.dtype !== 'int8-blocks' || wireDTypes.includes('int8') ? hidden : decodeActivations(hidden, 'float32')
}
