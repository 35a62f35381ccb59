/** A piece of an answer as it comes. Texts of one kind that follow each other belong together. */
export type AnswerPart =
  | { readonly kind: 'content'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** A call of a tool begins: the `index`-th of the answer. `id` is made here. */
  | { readonly kind: 'tool_call'; readonly index: number; readonly id: string; readonly name: string }
  /** The next piece of a call's arguments, which are JSON together. */
  | { readonly kind: 'tool_arguments'; readonly index: number; readonly text: string }

/**
 * How a model writes calls of tools:
 * - `hermes` (and Qwen): `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`
 * - `llama3`: an answer that is `{"name": ..., "parameters": {...}}`, or comes behind `<|python_tag|>`
 * - `mistral`: `[TOOL_CALLS] [{"name": ..., "arguments": {...}}, ...]`
 * - `mistral-args`: `[TOOL_CALLS]name[ARGS]{...}`, again for each call
 */
export type ToolFormat = 'hermes' | 'llama3' | 'mistral' | 'mistral-args'

/** How a model marks what it thinks before its answer. */
export interface Reasoning {
  readonly open: string
  readonly close: string
  /** Whether the prompt has opened it already. */
  readonly begun: boolean
}
