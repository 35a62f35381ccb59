import type { CausalLMSession } from '../model/causal-session.ts'
import type { DistributedModel, ModelSessionOptions } from '../model/distributed-model.ts'

/** The part of a causal language model that a prompt cache works with. */
export interface CachedModel extends Pick<
  DistributedModel,
  'ends' | 'checkpoint' | 'tokenizer' | 'prompts' | 'activeAdapter' | 'encode'
> {
  readonly swarm: Pick<DistributedModel['swarm'], 'records'> & Partial<Pick<DistributedModel['swarm'], 'tracing'>>
  inferenceSession(options: ModelSessionOptions): CausalLMSession
}
