/** A piece of an answer. */
export type AnswerPart = { readonly kind: 'content'; readonly text: string }

/** Takes an answer's text as it comes, and says what its pieces are. */
export interface AnswerParser {
  push(text: string): AnswerPart[]
  finish(): AnswerPart[]
}

export function openAnswerParser(): AnswerParser {
  return { push: (text) => (text === '' ? [] : [{ kind: 'content', text }]), finish: () => [] }
}
