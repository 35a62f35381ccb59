import type { RunSummary } from '../generating/run.ts'
import type { AnswerEnd } from '../generating/answer.ts'
import type { MessageRequest } from './request.ts'

/** Why a message ended, in Anthropic's words. `stopString` may also be one of the chat's own, which is no sequence. */
export function stopReasonOf(
  end: AnswerEnd,
  stopString: string | undefined,
  asked: readonly string[],
): { readonly stop_reason: string; readonly stop_sequence: string | null } {
  if (end === 'length') return { stop_reason: 'max_tokens', stop_sequence: null }
  if (end === 'tool_calls') return { stop_reason: 'tool_use', stop_sequence: null }
  if (stopString !== undefined && asked.includes(stopString))
    return { stop_reason: 'stop_sequence', stop_sequence: stopString }
  return { stop_reason: 'end_turn', stop_sequence: null }
}

/** What a message took. Tokens that the swarm still held count apart. */
export function messageUsage({ promptTokens, cachedTokens, completionTokens }: RunSummary): object {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  }
}

/** What is told of edits that a request allows: none was applied, since a conversation is taken whole or refused. */
export function editsOf({ context_management: asked }: MessageRequest): object {
  return asked === undefined ? {} : { context_management: { applied_edits: [] } }
}

/** The arguments of a tool as the model wrote them; what is no object is told as a text. */
export function inputOf(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text) as unknown
  } catch {
    return { arguments: text }
  }
}
