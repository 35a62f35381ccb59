import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import { DistributedModel } from './distributed-model.ts'
import { HiddenStatesSession } from './model-session.ts'
import type { SessionOptions } from '../session/open.ts'

/**
 * A model without its head, which is not loaded: `forward` gives the hidden states after the last norm, float32 [batch,
 * tokens, hidden].
 */
export class AutoDistributedModel extends DistributedModel {
  static readonly output: EndsOutput = 'hidden'

  /** A session over all blocks. Servers open it at its first step. Throws `SESSION_TOO_LONG`. */
  inferenceSession(options: SessionOptions): HiddenStatesSession {
    return new HiddenStatesSession(this.ends, this.layers.inferenceSession(options))
  }
}
