import type { LogitsProcessor } from '../logits.ts'
import {
  BIASES,
  FLAG,
  ID,
  IDS,
  ID_OR_IDS,
  type Kind,
  SEED,
  SEQUENCES,
  SEQUENCE_BIASES,
  SIGNAL,
  TEXTS,
  functions,
  integer,
  number,
} from './kinds.ts'
import type { StoppingCriterion } from './stopping.ts'

/** How a command line has an option. */
export interface Flag {
  readonly description: string
  /** What --help shows for the default. */
  readonly shownDefault: string
  /** Where it is not the option's own. */
  readonly name?: string
  /** What one of the flag's is in the option's unit. */
  readonly unit?: number
  /** Why the default is what it is. */
  readonly reason?: string
}

/** Where an option has a name elsewhere. */
export interface Places {
  /** Its key in generation_config.json, which is transformers' name for it. */
  readonly file?: string
  /** What one of the file's is in the option's unit. */
  readonly fileUnit?: number
  /** Its name in transformers, where generation_config.json does not set it as it sets the others. */
  readonly transformers?: string
  readonly flag?: Flag
}

/** An option, as those see it that go through all of them. */
export interface Declared extends Places {
  readonly kind: Kind<unknown>
}

const OWN = "the model's own, or none"

/**
 * The options of generation, each with all there is to say about it. Types (`options.ts`), checks (`check.ts`), what is
 * read of generation_config.json (`checkpoint/config/generation-options.ts`) and flags (`cli/options/answer-flags.ts`)
 * follow from here; docs/generation.md has a row for each.
 */
export const OPTIONS = {
  // How the next token is drawn. Without any of these the likeliest token is taken.

  /** Draw (true) or take the likeliest token (false), whatever `temperature` says. Default: a `temperature` above 0. */
  doSample: declare(FLAG, { file: 'do_sample' }),
  /**
   * Divides the logits: above 1 flattens the distribution, below 1 sharpens it, 0 is greedy. Default when drawing: 1.
   */
  temperature: declare(number({ min: 0 }, '0 is greedy'), {
    file: 'temperature',
    flag: {
      description: 'Randomness: 0 takes the likeliest token each time',
      shownDefault: "the model's own, or 0",
    },
  }),
  /** Only the k likeliest tokens and those as likely as the last of them; 0 is all. */
  topK: declare(integer({ min: 0 }, '0 is all tokens'), {
    file: 'top_k',
    flag: {
      description: 'Draw from the K likeliest tokens only; 0 for all',
      shownDefault: "the model's own, or 50",
      reason: 'As transformers does',
    },
  }),
  /** Only the fewest likeliest tokens that together have this probability, from 0 to 1; 1 is all. */
  topP: declare(number({ min: 0, max: 1 }, '1 is all tokens'), {
    file: 'top_p',
    flag: {
      description: 'Draw from the likeliest tokens that together have this probability',
      shownDefault: OWN,
    },
  }),
  /** Only tokens at least this many times as likely as the likeliest, from 0 (all) to 1. */
  minP: declare(number({ min: 0, max: 1 }, '0 is all tokens'), {
    file: 'min_p',
    flag: {
      description: 'Draw from tokens at least this many times as likely as the likeliest',
      shownDefault: OWN,
    },
  }),
  /**
   * Only the tokens whose surprise is nearest to the expected one, the fewest that have this probability together;
   * above 0 to 1 (all).
   */
  typicalP: declare(number({ above: 0, max: 1 }, '1 is all tokens'), {
    file: 'typical_p',
    flag: {
      description: 'Draw from the most typical tokens that together have this probability',
      shownDefault: OWN,
    },
  }),
  /**
   * Makes the draws repeatable, a whole number; otherwise they differ each time. Prompts and continuations derive
   * theirs from it.
   */
  seed: declare(SEED, {
    flag: { description: 'Makes what is drawn repeatable', shownDefault: 'another each time' },
  }),
  /** Tell each token's log-probability, which takes longer than choosing it. */
  logprobs: declare(FLAG, {}),

  // What makes tokens less likely that have come before.

  /** Divides positive and multiplies negative logits of tokens in prompt and answer; above 0, 1 is none. */
  repetitionPenalty: declare(number({ above: 0 }, '1 is none'), {
    file: 'repetition_penalty',
    flag: {
      description: 'Makes tokens of prompt and text less likely: 1 is none, 1.2 is much',
      shownDefault: OWN,
    },
  }),
  /** Taken from the logit of each token of the answer, once; finite, 0 is none. OpenAI's presence_penalty. */
  presencePenalty: declare(number({}, '0 is none'), {
    flag: { description: 'Taken from the logit of each token that the text has', shownDefault: 'none' },
  }),
  /**
   * Taken from the logit of each token of the answer, as often as it has come; finite, 0 is none. OpenAI's
   * frequency_penalty.
   */
  frequencyPenalty: declare(number({}, '0 is none'), {
    flag: { description: 'The same, as often as the text has the token', shownDefault: 'none' },
  }),
  /** No run of so many tokens comes twice in prompt and answer; 0 is no limit. */
  noRepeatNgramSize: declare(integer({ min: 0 }, '0 is no limit'), {
    file: 'no_repeat_ngram_size',
    flag: { description: 'No run of so many tokens comes twice; 0 for no limit', shownDefault: OWN },
  }),

  // What rules tokens out, forces or favours them.

  /** Added to the logits of tokens, by id; -Infinity bans one. OpenAI's logit_bias. */
  logitBias: declare(BIASES, {}),
  /** Added to the logit of each sequence's last token wherever the others have just come, as [ids, bias]. */
  sequenceBias: declare(SEQUENCE_BIASES, { file: 'sequence_bias' }),
  /** Sequences of tokens that may not come; single EOS tokens in it are passed over. */
  badWordsIds: declare(SEQUENCES, { file: 'bad_words_ids' }),
  /** Tokens that may not come. */
  suppressTokens: declare(IDS, { file: 'suppress_tokens' }),
  /** Tokens with which the answer may not begin. */
  beginSuppressTokens: declare(IDS, { file: 'begin_suppress_tokens' }),
  /** The answer begins with these. */
  forcedPrefixIds: declare(IDS, {}),
  /** Comes next where prompt and answer are a single token together. */
  forcedBosTokenId: declare(ID, { file: 'forced_bos_token_id' }),
  /** The last token that `maxNewTokens` allows is this, or one of these. */
  forcedEosTokenId: declare(ID_OR_IDS, { file: 'forced_eos_token_id' }),
  /** No EOS before prompt and answer have so many tokens; `minNewTokens` goes before it. */
  minLength: declare(integer({ min: 0 }), { file: 'min_length' }),
  /** No EOS before the answer has so many tokens. */
  minNewTokens: declare(integer({ min: 0 }), {
    file: 'min_new_tokens',
    flag: { description: 'Tokens before which the text does not end', shownDefault: OWN },
  }),

  // What ends a text.

  /** Tokens of the answer at most, at least 1. A model's default is its checkpoint's, or 20 as in transformers. */
  maxNewTokens: declare(integer({ min: 1 }), {
    file: 'max_new_tokens',
    flag: { description: 'Tokens to generate at most', shownDefault: "the model's own, or 64" },
  }),
  /** Tokens of prompt and answer together at most; `maxNewTokens` goes before it. */
  maxLength: declare(integer({ min: 1 }), { file: 'max_length' }),
  /** The answer ends with the first token that comes after so many milliseconds. */
  maxTimeMs: declare(number({ above: 0 }), {
    file: 'max_time',
    fileUnit: 1000,
    flag: { name: 'maxTime', unit: 1000, description: 'Seconds after which the text ends', shownDefault: 'none' },
  }),
  /** Any of these tokens ends the text, [] is never. A model's default is its checkpoint's. */
  eosTokenIds: declare({ ...IDS, accepted: `${IDS.accepted} ([] is never)` }, { transformers: 'eos_token_id' }),
  /** The text ends before the first of these. */
  stopStrings: declare(TEXTS, {
    file: 'stop_strings',
    flag: { name: 'stop', description: 'Text to stop before; may be repeated', shownDefault: 'none' },
  }),
  /** Own functions, asked after each token; the first that says so ends the text. */
  stoppingCriteria: declare(functions<StoppingCriterion>(), { transformers: 'stopping_criteria' }),
  /** Own functions, after the built-in penalties and constraints and before the temperature. */
  logitsProcessors: declare(functions<LogitsProcessor>(), { transformers: 'logits_processor' }),
  /** Ends the text after the step that is under way. */
  signal: declare(SIGNAL, {}),

  // Several texts for one prompt.

  /** Beams of a beam search; 1 is none. */
  numBeams: declare(integer({ min: 1 }), {
    file: 'num_beams',
    flag: { description: 'Beams of a beam search; the text comes at its end then', shownDefault: '1' },
  }),
  /** Power of the length by which a beam's score is divided: above 0 favours long ones. Default: 1. */
  lengthPenalty: declare(number(), {
    file: 'length_penalty',
    flag: { description: 'Above 0, beam search prefers long texts, below 0 short ones', shownDefault: OWN },
  }),
  /**
   * Whether beam search ends at `numBeams` finished texts (true), when better ones are unlikely, or impossible
   * ('never').
   */
  earlyStopping: declare(
    {
      accepts: (value): value is boolean | 'never' => typeof value === 'boolean' || value === 'never',
      accepted: "a choice of true, false and 'never'",
    },
    { file: 'early_stopping' },
  ),
  /** Texts per prompt: draws, or the best beams. Only for prompts in a list. */
  numReturnSequences: declare(integer({ min: 1 }), {
    file: 'num_return_sequences',
    flag: { description: 'Texts to write: as many draws, or the best of the beams', shownDefault: '1' },
  }),
}

/** One option: the values that it takes, and its names elsewhere. */
function declare<T, K extends Kind<T>, const P extends Places>(kind: K & Kind<T>, places: P): P & { readonly kind: K } {
  return { ...places, kind }
}
