import { PetalsError } from '../../base/errors.ts'
import type { FrameStream } from '../../swarm/frames/frame-stream.ts'

/** A signal that is aborted when the client goes. */
export function goneSignal(stream: Pick<FrameStream, 'closed'>): AbortSignal {
  const gone = new AbortController()
  void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
  return gone.signal
}
