import type { StreamState } from './stream.ts'

/** What the worker starts with. */
export interface TokenizerWorkerData {
  readonly folder: string
}

/** What the worker can be asked, by kind, and what it answers. */
export interface TokenizerCalls {
  encode: { args: { text: string; addSpecialTokens: boolean }; result: number[] }
  decode: { args: { ids: readonly number[]; skipSpecialTokens: boolean }; result: string }
  advance: {
    args: { state: StreamState; ids: readonly number[]; skipSpecialTokens: boolean }
    result: { state: StreamState; piece: string }
  }
  rest: { args: { state: StreamState; skipSpecialTokens: boolean }; result: string }
}

export type TokenizerCall = keyof TokenizerCalls

export type TokenizerRequest = {
  [K in TokenizerCall]: { readonly id: number; readonly kind: K; readonly args: TokenizerCalls[K]['args'] }
}[TokenizerCall]

/** The first message is `ready` or `unusable`; then one answer per request. */
export type TokenizerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'unusable'; readonly code: string; readonly message: string }
  | { readonly kind: 'result'; readonly id: number; readonly result: TokenizerCalls[TokenizerCall]['result'] }
  | { readonly kind: 'error'; readonly id: number; readonly message: string }
