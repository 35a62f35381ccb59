import { PetalsError } from '../../../base/errors.ts'
import type { LoadedModule } from '../../../checkpoint/adapter/adapter-digest.ts'
import { withDeadline } from '../../../swarm/deadline.ts'
import type { RequestStream } from '../../../swarm/frames/frame-stream.ts'
import type { Answer } from '../../../swarm/frames/messages.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import type { AdapterAccess } from './request-adapter.ts'

const CONNECT_TIMEOUT_MS = 10_000
const ANSWER_TIMEOUT_MS = 60_000

/** An adapter on its way to a server. */
export interface AdapterUpload {
  readonly name: string
  /** The version that the server was brought before, if any. */
  readonly replaces: string | undefined
  /** In the order of the digest. */
  readonly modules: readonly UploadModule[]
}

/** One module of an adapter on its way. */
export interface UploadModule {
  readonly name: string
  /** Whether it is as in the version that is replaced. */
  readonly isSame: boolean
  /** The module with its matrices in memory. */
  readonly load: () => Promise<LoadedModule>
}

/**
 * Offers an adapter to a server, and sends what it lacks: of a newer version only the modules that have changed, unless
 * the server has lost the one before. Throws the server's error, and the signal's reason.
 */
export async function uploadAdapter(
  swarm: AdapterAccess,
  server: ServerRecord,
  { name, replaces, modules }: AdapterUpload,
  signal: AbortSignal,
): Promise<void> {
  const stream = await withDeadline(`dialling peer ${server.peerId}`, CONNECT_TIMEOUT_MS, signal, (signal) =>
    swarm.open(server, 'adapter', signal),
  )
  try {
    await stream.send({ kind: 'offer', modelKey: swarm.modelKey, adapter: name, replaces }, { signal })
    const answer = await received(stream, signal)
    if (answer.kind === 'send') {
      const hasReplaced = replaces !== undefined && answer.hasReplaced === true
      for (const { name, isSame, load } of modules) {
        if (hasReplaced && isSame) await stream.send({ kind: 'same', name }, { signal })
        else await stream.send({ kind: 'module', ...(await load()) }, { signal })
      }
      await stream.send({ kind: 'complete' }, { signal })
      await received(stream, signal)
    }
    void stream.end()
  } catch (error) {
    stream.abort(error as Error)
    throw error
  }
}

async function received(stream: RequestStream<'adapter'>, signal: AbortSignal): Promise<Answer<'adapter'>> {
  const message = await stream.receive({ timeoutMs: ANSWER_TIMEOUT_MS, signal })
  if (message === null) throw new PetalsError('SESSION_ANSWER', `peer ${stream.remotePeer} did not answer an adapter`)
  return message
}
