/**
 * Whether the text ends here; asked after each token. `ids` are all tokens so far, prompt and answer; `text` is the
 * answer's so far, undefined where the model has no tokenizer.
 */
export type StoppingCriterion = (ids: readonly number[], text?: string) => boolean
