import { UsageError } from '../../base/errors.ts'
import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import { type EvaluateOptions, type EvaluationResult, evaluate } from '../evaluation/evaluate.ts'
import type { EvaluationData } from '../evaluation/tasks.ts'
import { CausalLMSession } from './causal-session.ts'
import { DistributedModel, type ModelSessionOptions, type Prompt } from './distributed-model.ts'
import { generateBatch } from '../generation/batch.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import { checkOptions } from '../../sampling/options/check.ts'
import type { GenerationOptions, ResolvedOptions } from '../../sampling/options/options.ts'
import { resolveOptions, resolveStreamOptions } from '../generation/resolve.ts'

export { CausalLMSession } from './causal-session.ts'
export type { Prompt } from './distributed-model.ts'
export type { PretrainedOptions } from './pretrained-options.ts'
export type { SessionOptions } from '../session/open.ts'

/**
 * A causal language model over a swarm: `generate` and `stream` write text, `forward` gives logits [batch, tokens,
 * vocab], `inferenceSession` keeps caches between calls.
 */
export class AutoDistributedModelForCausalLM extends DistributedModel {
  static readonly output: EndsOutput = 'logits'

  /** A session over all blocks. Servers open it at its first step. Throws `SESSION_TOO_LONG`. */
  inferenceSession(options: ModelSessionOptions): CausalLMSession {
    const { blocks, before } = this.openBlocks(options)
    return new CausalLMSession(this, blocks, before)
  }

  /**
   * Generates one text token by token; the chunks' texts joined are the result's text, and the generator returns the
   * result. Options that are absent take the model's defaults. Throws as `generate`.
   */
  async *stream(prompt: Prompt, options: GenerationOptions = {}): AsyncGenerator<GenerationChunk, GenerationResult> {
    checkOptions(options)
    const ids = await this.encode(prompt)
    const resolved = resolveStreamOptions(options, this.checkpoint, ids.length)
    await using session = this.inferenceSession({ maxLength: ids.length + resolved.maxNewTokens })
    return yield* session.generate(ids, resolved)
  }

  /**
   * Generates whole texts: one for a single prompt; for a list of prompts of any lengths, all of them at the same time,
   * in order (`numReturnSequences` for each). Options that are absent take the model's defaults.
   *
   * Throws `USAGE` for an invalid prompt or options, and `NO_ROUTE` if no server holds some block. With several prompts
   * the first failure ends all.
   */
  generate(prompt: Prompt, options?: GenerationOptions): Promise<GenerationResult>
  generate(prompts: readonly Prompt[], options?: GenerationOptions): Promise<GenerationResult[]>
  async generate(
    prompt: Prompt | readonly Prompt[],
    options: GenerationOptions = {},
  ): Promise<GenerationResult | GenerationResult[]> {
    checkOptions(options)
    const batch = isBatch(prompt)
    if (!batch && (options.numReturnSequences ?? 1) > 1) {
      throw new UsageError(
        `numReturnSequences is ${options.numReturnSequences}: give the prompt in a list, generate([prompt], options)`,
      )
    }
    const wanted = batch ? options : { ...options, numReturnSequences: 1 }
    const prompts = await Promise.all((batch ? prompt : [prompt]).map((each) => this.encode(each)))
    const entries = prompts.map((promptIds) => ({
      promptIds,
      options: resolveOptions(wanted, this.checkpoint, promptIds.length),
    }))
    const results = await generateBatch((ids, resolved) => this.#generateTexts(ids, resolved), entries, options.signal)
    return batch ? results : results[0]!
  }

  /**
   * Measures the model on data, with the tuned prompts and the adapter that it has: the perplexity of texts, or
   * multiple choice by log-likelihood. Throws as `evaluate`.
   */
  evaluate(data: EvaluationData, options?: EvaluateOptions): Promise<EvaluationResult> {
    return evaluate(this, data, options)
  }

  async #generateTexts(promptIds: readonly number[], options: ResolvedOptions): Promise<GenerationResult[]> {
    await using session = this.inferenceSession({ maxLength: promptIds.length + options.maxNewTokens })
    return await session.generateTexts(promptIds, options)
  }
}

function isBatch(prompt: Prompt | readonly Prompt[]): prompt is readonly Prompt[] {
  return typeof prompt !== 'string' && typeof prompt[0] !== 'number' && prompt.length > 0
}
