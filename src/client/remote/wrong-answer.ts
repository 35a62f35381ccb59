import { PetalsError } from '../../base/errors.ts'

/** An answer that does not fit what was asked, or what the server has said before. */
export function wrongAnswer(peerId: string, what: string): PetalsError {
  return new PetalsError('SESSION_ANSWER', `peer ${peerId} gave a wrong answer: ${what}`)
}
