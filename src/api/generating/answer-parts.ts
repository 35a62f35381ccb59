/** A piece of an answer. */
export type AnswerPart =
  | { readonly kind: 'content'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  | { readonly kind: 'tool_call'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly kind: 'tool_arguments'; readonly index: number; readonly text: string }

/** Takes an answer's text as it comes, and says what its pieces are. */
export interface AnswerParser {
  push(text: string): AnswerPart[]
  finish(): AnswerPart[]
}

export function openAnswerParser(): AnswerParser {
  return { push: (text) => (text === '' ? [] : [{ kind: 'content', text }]), finish: () => [] }
}
