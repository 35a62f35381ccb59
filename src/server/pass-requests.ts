import { PetalsError } from '../base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import type { ServedStream } from '../swarm/frames/frame-stream.ts'
import type { SwarmLogger } from '../swarm/node/node.ts'
import { type TracedLogger, tracedLogger } from '../swarm/node/trace.ts'
import { convertInPieces } from '../tensor/convert.ts'
import { allFiniteInPieces } from '../tensor/finite.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { firstMessage } from './first-message.ts'
import type { Pace } from './span/pace.ts'

/** What passes need of the server around them. */
export interface PassModules {
  /** The engine that serves now. Throws for a model that it does not hold, and while the engine is lost. */
  readonly engineFor: (modelKey: string) => Engine
  /** Counts tokens that a client asks for; resolves when it may have them. */
  readonly admitTokens: (client: string, tokens: number) => Promise<void> | undefined
  /** Told of each request that failed. */
  readonly report: (kind: string, log: TracedLogger, error: unknown) => void
  readonly logger: SwarmLogger
  readonly pace: Pace
}

/** The time limit of a pass. A client that runs into it should ask for less at a time. */
const PASS_TIMEOUT_MS = 600_000

/** Answers requests for passes over whole sequences: `forward`, `probe` and `backward`. */
export class PassRequests {
  readonly #modules: PassModules

  constructor(modules: PassModules) {
    this.#modules = modules
  }

  async forward(rpc: 'forward' | 'probe', stream: ServedStream<'forward' | 'probe'>): Promise<void> {
    const { modelKey, start, end, trace, hidden, adapter, prompts } = await firstMessage(stream)
    const log = tracedLogger(this.#modules.logger, trace)
    const output = await this.#orReport(rpc, log, async () => {
      const engine = this.#modules.engineFor(modelKey)
      const client = stream.remotePeer
      const wait = { timeoutMs: PASS_TIMEOUT_MS, signal: goneSignal(stream) }
      const [batch = 0, tokens = 0] = hidden.shape
      await this.#modules.admitTokens(client, batch * tokens)
      await checkFinite('the input', hidden)
      const input = await convertInPieces(hidden, engine.dtype)
      const done = this.#modules.pace.begin(batch * tokens, end - start)
      return await engine.forward(input, { start, end, adapter, prompts, client, ...wait }).finally(() => done(false))
    })
    log.debug({ peerId: stream.remotePeer, tokens: output.shape[1] }, 'forward done')
    await stream.send({ kind: 'output', hidden: output })
  }

  async backward(stream: ServedStream<'backward'>): Promise<void> {
    const { modelKey, trace } = await firstMessage(stream)
    await this.#orReport('backward', tracedLogger(this.#modules.logger, trace), async () => {
      this.#modules.engineFor(modelKey)
      throw new PetalsError('TRAINING_OFF', 'this server computes no backward passes')
    })
  }

  async #orReport<T>(kind: string, log: TracedLogger, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#modules.report(kind, log, error)
      throw error
    }
  }
}

/** Aborted when the client goes. */
function goneSignal(stream: Pick<ServedStream<'forward'>, 'closed'>): AbortSignal {
  const gone = new AbortController()
  void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
  return gone.signal
}

async function checkFinite(what: string, values: Tensor): Promise<void> {
  if (!(await allFiniteInPieces(values)))
    throw new PetalsError('TENSOR_NONFINITE', `${what} holds NaN or infinite values`)
}
