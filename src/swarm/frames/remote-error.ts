import { PetalsError } from '../../base/errors.ts'
import { cleanText } from '../errors.ts'
import type { FrameHeader } from './wire.ts'

const MAX_REMOTE_MESSAGE_CHARS = 500
const CODE_PATTERN = /^[A-Z][A-Z0-9_]{0,63}$/

/** A peer reported a fault in an `error` frame: its code, and its message made safe to print. */
export class RemoteError extends PetalsError {
  readonly peerId: string
  /** The rest of the error frame's header: which session and step it is about. */
  readonly header: FrameHeader

  constructor(peerId: string, header: FrameHeader) {
    const code = header.fault?.code ?? ''
    const message = cleanText(header.fault?.message ?? '', MAX_REMOTE_MESSAGE_CHARS)
    super(CODE_PATTERN.test(code) ? code : 'REMOTE', `peer ${peerId}: ${message === '' ? 'no reason given' : message}`)
    this.peerId = peerId
    this.header = header
  }
}
