/**
 * Called after each token; returning true ends the text. `ids` are all tokens so far, prompt and answer; `text` is the
 * answer so far, undefined if the model has no tokenizer.
 */
export type StoppingCriterion = (ids: readonly number[], text?: string) => boolean
