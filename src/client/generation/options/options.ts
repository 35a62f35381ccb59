import type { LogitsProcessor } from '../sampling/logits.ts'
import type { StoppingCriterion } from '../text/stopping.ts'

export { checkOptions } from './option-rules.ts'

/**
 * How the next token is drawn. Each name in brackets is transformers'. Without any of these the likeliest token is
 * taken.
 */
export interface SamplingOptions {
  /**
   * Draw (true) or take the likeliest token (false), whatever `temperature` says. Default: a `temperature` above 0.
   * [do_sample]
   */
  readonly doSample?: boolean | undefined
  /**
   * Divides the logits: above 1 flattens the distribution, below 1 sharpens it, 0 is greedy. Default when drawing: 1.
   * [temperature]
   */
  readonly temperature?: number | undefined
  /** Only the k likeliest tokens and those as likely as the last of them; 0 is all. [top_k] */
  readonly topK?: number | undefined
  /** Only the fewest likeliest tokens that together have this probability, from 0 to 1; 1 is all. [top_p] */
  readonly topP?: number | undefined
  /** Only tokens at least this many times as likely as the likeliest, from 0 (all) to 1. [min_p] */
  readonly minP?: number | undefined
  /**
   * Only the tokens whose surprise is nearest to the expected one, the fewest that have this probability together;
   * above 0 to 1 (all). [typical_p]
   */
  readonly typicalP?: number | undefined
  /**
   * Makes the draws repeatable, a whole number; otherwise they differ each time. Prompts and continuations derive
   * theirs from it.
   */
  readonly seed?: number | undefined
  /** Tell each token's log-probability, which takes longer than choosing it. */
  readonly logprobs?: boolean | undefined
}

/** What makes tokens less likely that have come before. */
export interface PenaltyOptions {
  /**
   * Divides positive and multiplies negative logits of tokens in prompt and answer; above 0, 1 is none.
   * [repetition_penalty]
   */
  readonly repetitionPenalty?: number | undefined
  /** Taken from the logit of each token of the answer, once; finite, 0 is none. OpenAI's presence_penalty. */
  readonly presencePenalty?: number | undefined
  /**
   * Taken from the logit of each token of the answer, as often as it has come; finite, 0 is none. OpenAI's
   * frequency_penalty.
   */
  readonly frequencyPenalty?: number | undefined
  /** No run of so many tokens comes twice in prompt and answer; 0 is no limit. [no_repeat_ngram_size] */
  readonly noRepeatNgramSize?: number | undefined
}

/** What rules tokens out, forces or favours them. */
export interface ConstraintOptions {
  /** Added to the logits of tokens, by id; -Infinity bans one. OpenAI's logit_bias. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined
  /**
   * Added to the logit of each sequence's last token wherever the others have just come, as [ids, bias].
   * [sequence_bias]
   */
  readonly sequenceBias?: readonly (readonly [ids: readonly number[], bias: number])[] | undefined
  /** Sequences of tokens that may not come; single EOS tokens in it are passed over. [bad_words_ids] */
  readonly badWordsIds?: readonly (readonly number[])[] | undefined
  /** Tokens that may not come. [suppress_tokens] */
  readonly suppressTokens?: readonly number[] | undefined
  /** Tokens with which the answer may not begin. [begin_suppress_tokens] */
  readonly beginSuppressTokens?: readonly number[] | undefined
  /** The answer begins with these. */
  readonly forcedPrefixIds?: readonly number[] | undefined
  /** Comes next where prompt and answer are a single token together. [forced_bos_token_id] */
  readonly forcedBosTokenId?: number | undefined
  /** The last token that `maxNewTokens` allows is this, or one of these. [forced_eos_token_id] */
  readonly forcedEosTokenId?: number | readonly number[] | undefined
  /** No EOS before prompt and answer have so many tokens; `minNewTokens` goes before it. [min_length] */
  readonly minLength?: number | undefined
  /** No EOS before the answer has so many tokens. [min_new_tokens] */
  readonly minNewTokens?: number | undefined
}

/** What ends a text. */
export interface EndingOptions {
  /**
   * Tokens of the answer at most, at least 1. A model's default is its checkpoint's, or 20 as in transformers.
   * [max_new_tokens]
   */
  readonly maxNewTokens?: number | undefined
  /** Tokens of prompt and answer together at most; `maxNewTokens` goes before it. [max_length] */
  readonly maxLength?: number | undefined
  /** The answer ends with the first token that comes after so many milliseconds. [max_time, in seconds] */
  readonly maxTimeMs?: number | undefined
  /** Any of these tokens ends the text, [] is never. A model's default is its checkpoint's. [eos_token_id] */
  readonly eosTokenIds?: readonly number[] | undefined
  /** The text ends before the first of these. [stop_strings] */
  readonly stopStrings?: readonly string[] | undefined
  /** Own functions, asked after each token; the first that says so ends the text. [stopping_criteria] */
  readonly stoppingCriteria?: readonly StoppingCriterion[] | undefined
  /** Ends the text after the step that is under way. */
  readonly signal?: AbortSignal | undefined
}

/** Several texts for one prompt. */
export interface SearchOptions {
  /** Beams of a beam search; 1 is none. [num_beams] */
  readonly numBeams?: number | undefined
  /** Power of the length by which a beam's score is divided: above 0 favours long ones. Default: 1. [length_penalty] */
  readonly lengthPenalty?: number | undefined
  /**
   * Whether beam search ends at `numBeams` finished texts (true), when better ones are unlikely, or impossible
   * ('never'). [early_stopping]
   */
  readonly earlyStopping?: boolean | 'never' | undefined
  /** Texts per prompt: draws, or the best beams. Only for prompts in a list. [num_return_sequences] */
  readonly numReturnSequences?: number | undefined
}

/** Options that are absent have the defaults of the model's generation_config.json, then transformers' own. */
export interface GenerationOptions
  extends SamplingOptions, PenaltyOptions, ConstraintOptions, EndingOptions, SearchOptions {
  /** Own functions, after the built-in penalties and constraints and before the temperature. [logits_processor] */
  readonly logitsProcessors?: readonly LogitsProcessor[] | undefined
}

/** Options of one text, with the checkpoint's defaults in them: what is absent now is not used. */
export interface ResolvedOptions extends GenerationOptions {
  readonly maxNewTokens: number
}

/** Whether tokens are drawn; otherwise the likeliest is taken. */
export function isSampling({ doSample, temperature }: SamplingOptions): boolean {
  return temperature !== 0 && (doSample ?? temperature !== undefined)
}
