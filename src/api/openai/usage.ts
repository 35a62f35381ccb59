import type { RunSummary } from '../generating/run.ts'

/** What a request took, in OpenAI's form. */
export function usageOf(
  { promptTokens, cachedTokens, completionTokens }: RunSummary,
  reasoningTokens?: number,
): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens !== undefined && { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  }
}

/** How long it took, as llama.cpp's server tells it. */
export function timingsOf({
  promptTokens,
  cachedTokens,
  completionTokens,
  promptMs,
  completionMs,
}: RunSummary): object {
  const promptN = promptTokens - cachedTokens
  // The first token comes of the prompt's own step.
  const steps = Math.max(0, completionTokens - 1)
  return {
    cache_n: cachedTokens,
    prompt_n: promptN,
    prompt_ms: rounded(promptMs),
    prompt_per_token_ms: rounded(promptMs / Math.max(1, promptN)),
    prompt_per_second: rounded((promptN * 1000) / Math.max(promptMs, 0.001)),
    predicted_n: completionTokens,
    predicted_ms: rounded(completionMs),
    predicted_per_token_ms: rounded(completionMs / Math.max(1, steps)),
    predicted_per_second: rounded(completionMs === 0 ? 0 : (steps * 1000) / completionMs),
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
