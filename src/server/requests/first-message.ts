import { PetalsError } from '../../base/errors.ts'
import type { FrameStream } from '../../swarm/frames/frame-stream.ts'
import type { AnyMessage } from '../../swarm/frames/messages.ts'

export const FIRST_MESSAGE_TIMEOUT_MS = 10_000

/** What a stream begins with. Throws `SESSION_REQUEST` where it ends before, and `SWARM_TIMEOUT`. */
export async function firstMessage<M extends AnyMessage>(stream: Pick<FrameStream<never, M>, 'receive'>): Promise<M> {
  const message = await stream.receive({ timeoutMs: FIRST_MESSAGE_TIMEOUT_MS })
  if (message === null) throw new PetalsError('SESSION_REQUEST', 'the stream ended before a request came')
  return message
}
