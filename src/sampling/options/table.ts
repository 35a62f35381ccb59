import type { LogitsProcessor } from '../logits.ts'
import {
  BIASES,
  CONSTRAINT,
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

/** An option as a flag of the command line. */
export interface Flag {
  readonly description: string
  /** What --help shows as the default. */
  readonly shownDefault: string
  /** The flag's name, if it is not derived from the option's. */
  readonly name?: string
  /** A letter that stands for the flag. */
  readonly short?: string
  /**
   * How many of the option's units are one unit of the flag, e.g. 1000 for a flag in seconds and an option in
   * milliseconds.
   */
  readonly unit?: number
  /** Why the default has its value. */
  readonly reason?: string
}

/** An option's names outside of this library. */
export interface Places {
  /** Its key in generation_config.json; transformers has the option under the same name. */
  readonly file?: string
  /**
   * How many of the option's units are one unit of the file, e.g. 1000 for seconds in the file and milliseconds here.
   */
  readonly fileUnit?: number
  /** Its name in transformers, if it is not read from generation_config.json like the other options. */
  readonly transformers?: string
  readonly flag?: Flag
}

/** One row of `OPTIONS`, for code that goes through all rows. */
export interface Declared extends Places {
  readonly kind: Kind<unknown>
}

const OWN = "the model's own, or none"

/**
 * Every option of generation, declared once. The types (`options.ts`), the checks (`check.ts`), what is read from
 * generation_config.json (`checkpoint/config/generation-options.ts`) and the flags
 * (`cli/options/tables/answer-flags.ts`) are derived from this table; docs/generation.md has a row for each option.
 */
export const OPTIONS = {
  // How the next token is drawn. Without any of these the likeliest token is taken.

  /**
   * Draw tokens at random (true) or take the likeliest (false), whatever `temperature` says. Default: true if
   * `temperature` is above 0.
   */
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
  /** Draw only from the k likeliest tokens and those as likely as the k-th; 0 is all tokens. */
  topK: declare(integer({ min: 0 }, '0 is all tokens'), {
    file: 'top_k',
    flag: {
      description: 'Draw from the K likeliest tokens only; 0 for all',
      shownDefault: "the model's own, or 50",
      reason: 'As transformers does',
    },
  }),
  /** Draw only from the likeliest tokens, as few as have this probability together, from 0 to 1; 1 is all tokens. */
  topP: declare(number({ min: 0, max: 1 }, '1 is all tokens'), {
    file: 'top_p',
    flag: {
      description: 'Draw from the likeliest tokens that together have this probability',
      shownDefault: OWN,
    },
  }),
  /** Draw only from tokens at least this many times as likely as the likeliest token, from 0 (all tokens) to 1. */
  minP: declare(number({ min: 0, max: 1 }, '0 is all tokens'), {
    file: 'min_p',
    flag: {
      description: 'Draw from tokens at least this many times as likely as the likeliest',
      shownDefault: OWN,
    },
  }),
  /**
   * Draw only from the tokens whose surprise (-log p) is nearest to the expected surprise (the entropy), as few as have
   * this probability together; above 0 and up to 1 (all tokens).
   */
  typicalP: declare(number({ above: 0, max: 1 }, '1 is all tokens'), {
    file: 'typical_p',
    flag: {
      description: 'Draw from the most typical tokens that together have this probability',
      shownDefault: OWN,
    },
  }),
  /**
   * A whole number that makes the draws repeatable; without one they differ each time. Each prompt of a batch and each
   * text of a prompt derives a seed of its own from it.
   */
  seed: declare(SEED, {
    flag: { description: 'Makes what is drawn repeatable', shownDefault: 'another each time, which is told' },
  }),
  /** Report each token's log-probability. That takes longer than choosing the token. */
  logprobs: declare(FLAG, {
    flag: { description: "Tell each token's log-probability under the model", shownDefault: 'off' },
  }),
  /** With `logprobs`: how many of the likeliest tokens are reported at each place as well, with theirs. */
  topLogprobs: declare(integer({ min: 0, max: 100 }), {}),

  // What makes tokens less likely that have come before.

  /**
   * For each token that occurs in prompt or answer: a positive logit is divided by this number and a negative one
   * multiplied by it. Above 0; 1 changes nothing.
   */
  repetitionPenalty: declare(number({ above: 0 }, '1 is none'), {
    file: 'repetition_penalty',
    flag: {
      description: 'Makes tokens of prompt and text less likely: 1 is none, 1.2 is much',
      shownDefault: OWN,
    },
  }),
  /**
   * Subtracted from the logit of each token that occurs in the answer. Finite; 0 changes nothing. OpenAI's
   * presence_penalty.
   */
  presencePenalty: declare(number({}, '0 is none'), {
    flag: { description: 'Taken from the logit of each token that the text has', shownDefault: 'none' },
  }),
  /**
   * Subtracted from the logit of each token once for each time it occurs in the answer. Finite; 0 changes nothing.
   * OpenAI's frequency_penalty.
   */
  frequencyPenalty: declare(number({}, '0 is none'), {
    flag: { description: 'The same, as often as the text has the token', shownDefault: 'none' },
  }),
  /** No sequence of this many tokens occurs twice in prompt and answer; 0 is no limit. */
  noRepeatNgramSize: declare(integer({ min: 0 }, '0 is no limit'), {
    file: 'no_repeat_ngram_size',
    flag: { description: 'No run of so many tokens comes twice; 0 for no limit', shownDefault: OWN },
  }),

  // What rules tokens out, forces or favours them.

  /** What to add to the logits of single tokens, by token id; -Infinity bans a token. OpenAI's logit_bias. */
  logitBias: declare(BIASES, {}),
  /** A list of [ids, bias]: the bias is added to the logit of the last id wherever the other ids have just come. */
  sequenceBias: declare(SEQUENCE_BIASES, { file: 'sequence_bias' }),
  /** Sequences of tokens that may not occur. A sequence that is a single EOS token is passed over. */
  badWordsIds: declare(SEQUENCES, { file: 'bad_words_ids' }),
  /** Tokens that may not occur. */
  suppressTokens: declare(IDS, { file: 'suppress_tokens' }),
  /** Tokens that the answer may not begin with. */
  beginSuppressTokens: declare(IDS, { file: 'begin_suppress_tokens' }),
  /** The answer begins with exactly these tokens. */
  forcedPrefixIds: declare(IDS, {}),
  /** This token comes next if prompt and answer are a single token together. */
  forcedBosTokenId: declare(ID, { file: 'forced_bos_token_id' }),
  /** If the answer reaches `maxNewTokens`, its last token is this one, or one of these. */
  forcedEosTokenId: declare(ID_OR_IDS, { file: 'forced_eos_token_id' }),
  /**
   * The form of the answer: JSON of a schema, a regular expression, ... (`grammar/constraint.ts`). Enforced at every
   * token; the text ends when nothing can follow. It needs a tokenizer, and goes with no `logitsProcessors`.
   */
  constraint: declare(CONSTRAINT, {}),
  /** No EOS token before prompt and answer together have this many tokens. `minNewTokens` overrides it. */
  minLength: declare(integer({ min: 0 }), { file: 'min_length' }),
  /** No EOS token before the answer has this many tokens. */
  minNewTokens: declare(integer({ min: 0 }), {
    file: 'min_new_tokens',
    flag: { description: 'Tokens before which the text does not end', shownDefault: OWN },
  }),

  // What ends a text.

  /** The most tokens of the answer, at least 1. Default: the checkpoint's, or 20 as in transformers. */
  maxNewTokens: declare(integer({ min: 1 }), {
    file: 'max_new_tokens',
    flag: { short: 'n', description: 'Tokens to generate at most', shownDefault: "the model's own, or 64" },
  }),
  /** The most tokens of prompt and answer together. `maxNewTokens` overrides it. */
  maxLength: declare(integer({ min: 1 }), { file: 'max_length' }),
  /** The answer ends with the first token that comes after this many milliseconds. */
  maxTimeMs: declare(number({ above: 0 }), {
    file: 'max_time',
    fileUnit: 1000,
    flag: { name: 'maxTime', unit: 1000, description: 'Seconds after which the text ends', shownDefault: 'none' },
  }),
  /** Any of these tokens ends the text; [] means that none does. Default: the checkpoint's. */
  eosTokenIds: declare({ ...IDS, accepted: `${IDS.accepted} ([] is never)` }, { transformers: 'eos_token_id' }),
  /** The text ends before the first occurrence of any of these strings. */
  stopStrings: declare(TEXTS, {
    file: 'stop_strings',
    flag: { name: 'stop', description: 'Text to stop before; may be repeated', shownDefault: 'none' },
  }),
  /** Whether the text leaves out special tokens; the EOS token that ends it is left out in any case. Default: true. */
  skipSpecialTokens: declare(FLAG, {}),
  /** The caller's own functions, called after each token; the text ends when one returns true. */
  stoppingCriteria: declare(functions<StoppingCriterion>(), { transformers: 'stopping_criteria' }),
  /** The caller's own functions, applied after the built-in penalties and constraints and before the temperature. */
  logitsProcessors: declare(functions<LogitsProcessor>(), { transformers: 'logits_processor' }),
  /** Aborting it ends the text after the step under way. */
  signal: declare(SIGNAL, {}),

  // Several texts for one prompt.

  /** How many beams a beam search keeps; 1 is no beam search. */
  numBeams: declare(integer({ min: 1 }), {
    file: 'num_beams',
    flag: { description: 'Beams of a beam search; the text comes at its end then', shownDefault: '1' },
  }),
  /**
   * A beam's score is its log-probability divided by its length to this power: above 0 favours long texts. Default: 1.
   */
  lengthPenalty: declare(number(), {
    file: 'length_penalty',
    flag: { description: 'Above 0, beam search prefers long texts, below 0 short ones', shownDefault: OWN },
  }),
  /**
   * When a beam search ends: true, as soon as `numBeams` texts are finished; false, when better texts are unlikely;
   * 'never', only when better texts are impossible.
   */
  earlyStopping: declare(
    {
      accepts: (value): value is boolean | 'never' => typeof value === 'boolean' || value === 'never',
      accepted: "a choice of true, false and 'never'",
    },
    { file: 'early_stopping' },
  ),
  /** How many texts to return for each prompt: independent draws, or the best beams. Only for a list of prompts. */
  numReturnSequences: declare(integer({ min: 1 }), {
    file: 'num_return_sequences',
    flag: { description: 'Texts to write: as many draws, or the best of the beams', shownDefault: '1' },
  }),
}

/** One row of the table: the option's values, and its names elsewhere. */
function declare<T, K extends Kind<T>, const P extends Places>(kind: K & Kind<T>, places: P): P & { readonly kind: K } {
  return { ...places, kind }
}
