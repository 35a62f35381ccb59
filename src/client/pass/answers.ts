import { PetalsError } from '../../base/errors.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { Activations } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { allFiniteInPieces } from '../../tensor/finite.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import { wrongAnswer } from '../remote/wrong-answer.ts'

/** What a tensor of an answer must be. */
export interface Due {
  /** The server that sent it. */
  readonly server: Pick<ServerRecord, 'peerId'>
  /** Names it in messages. */
  readonly what: string
  readonly dtype: string
  readonly shape: readonly number[]
}

/**
 * Checks a tensor of a server's answer; returns it in the dtype that is `wanted`. Throws `SESSION_ANSWER` for another
 * dtype or shape than what is due, and `TENSOR_NONFINITE` for values that are no numbers.
 */
export async function takeAnswer(
  answer: Activations,
  { server: { peerId }, what, ...due }: Due,
  wanted: FloatDType,
): Promise<Tensor> {
  if (String(answer.shape) !== String(due.shape) || answer.dtype !== due.dtype) {
    const [found, expected] = [`${answer.dtype} [${answer.shape}]`, `${due.dtype} [${due.shape}]`]
    throw wrongAnswer(peerId, `${what} ${found} where ${expected} was due`)
  }
  if (!(await allFiniteInPieces(answer)))
    throw new PetalsError('TENSOR_NONFINITE', `peer ${peerId} sent ${what} with values that are NaN or infinite`)
  return await decodeActivations(answer, wanted)
}
