import { PetalsError } from '../../base/errors.ts'
import { cleanText } from '../errors.ts'

const MAX_REMOTE_MESSAGE_CHARS = 500
const CODE_PATTERN = /^[A-Z][A-Z0-9_]{0,63}$/

/**
 * An error that a peer reported. Its code is `REMOTE` if the peer sent no valid one; its message was made safe to
 * print.
 */
export class RemoteError extends PetalsError {
  readonly peerId: string

  constructor(peerId: string, fault: { readonly code: string; readonly message: string }) {
    const message = cleanText(fault.message, MAX_REMOTE_MESSAGE_CHARS)
    super(
      CODE_PATTERN.test(fault.code) ? fault.code : 'REMOTE',
      `peer ${peerId}: ${message === '' ? 'no reason given' : message}`,
    )
    this.peerId = peerId
  }
}
