import type { AnswerEnd } from '../../generating/answer.ts'
import type { RunSummary } from '../../generating/run.ts'
import type { ResponseContext } from './context.ts'

/** An item of a response's output. */
export type OutputItem = { readonly type: string; readonly id: string; readonly [field: string]: unknown }

/** A response, in OpenAI's form; without a summary it is under way. */
export function responseOf(
  { body, prepared, id, created }: ResponseContext,
  output: readonly OutputItem[],
  ended?: { readonly summary: RunSummary; readonly end: AnswerEnd; readonly reasoningTokens: number },
): object {
  const isCut = ended?.end === 'length'
  return {
    id,
    object: 'response',
    created_at: created,
    status: ended === undefined ? 'in_progress' : isCut ? 'incomplete' : 'completed',
    background: false,
    error: null,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    model: prepared.request.model.id,
    output,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: prepared.request.options.temperature,
    text: { ...body.text, format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: prepared.request.options.topP,
    truncation: 'disabled',
    usage: ended === undefined ? null : usageOf(ended.summary, ended.reasoningTokens),
    user: body.user ?? null,
    metadata: body.metadata ?? {},
  }
}

function usageOf({ promptTokens, cachedTokens, completionTokens }: RunSummary, reasoningTokens: number): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  }
}
