import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import { DistributedModel, type ModelSessionOptions } from './distributed-model.ts'
import { HiddenStatesSession } from './model-session.ts'

/**
 * A model without its head, which is not loaded: `forward` gives the hidden states after the last norm, float32 [batch,
 * tokens, hidden].
 */
export class AutoDistributedModel extends DistributedModel {
  static readonly output: EndsOutput = 'hidden'

  /** A session over all blocks. Servers open it at its first step. Throws `SESSION_TOO_LONG`. */
  inferenceSession(options: ModelSessionOptions): HiddenStatesSession {
    const { blocks, before } = this.openBlocks(options)
    return new HiddenStatesSession(this.ends, blocks, before)
  }
}
