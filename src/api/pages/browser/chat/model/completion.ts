import { ask, failureOf } from '../../shared/api.ts'
import { readEvents } from '../../shared/event-stream.ts'
import type { Conversation, Hop, Message, Recovery, Waiting } from './conversation.ts'

/** What an answer's stream tells, as it comes. */
export type AnswerEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  | ({ readonly kind: 'swarm' } & SwarmNews)
  | { readonly kind: 'finish'; readonly reason: string }
  | { readonly kind: 'usage'; readonly prompt: number; readonly cached: number; readonly answer: number }
  | { readonly kind: 'timings'; readonly firstTokenSeconds: number; readonly tokensPerSecond: number }

/** How the swarm fares with an answer: all so far. */
export interface SwarmNews {
  readonly chain: readonly Hop[]
  readonly recoveries: readonly Recovery[]
  /** What it waits for just now. */
  readonly waiting: Waiting | undefined
}

/** The parts of a chunk that are read; all of it comes from outside. */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null }
    readonly finish_reason?: string | null
  }[]
  readonly usage?: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly prompt_tokens_details?: { readonly cached_tokens?: number }
  } | null
  readonly timings?: { readonly prompt_ms: number; readonly predicted_per_second: number }
  readonly petals?: {
    readonly chain: readonly Hop[]
    readonly recoveries: readonly {
      readonly lost: string[]
      readonly seconds: number
      readonly replayed_tokens: number
    }[]
    readonly waiting?: { readonly reason: string; readonly missing_blocks: readonly number[] }
  }
  readonly error?: unknown
}

/** Asks the model for the answer to some messages. Throws `ApiFailure`, and the signal's reason. */
export async function* streamAnswer(
  conversation: Conversation,
  messages: readonly Message[],
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent> {
  const response = await ask('v1/chat/completions', {
    signal,
    headers: { 'x-petals-chain': 'true' },
    body: requestBody(conversation, messages),
  })
  for await (const { data } of readEvents(response.body!)) {
    if (data === '[DONE]') return
    const chunk = JSON.parse(data) as Chunk
    if (chunk.error !== undefined) throw failureOf(chunk)
    yield* ofChunk(chunk)
  }
  throw failureOf({ error: { message: 'The answer broke off: the connection to the server was lost.' } })
}

/** The request's body: options that are not set are not sent, so that the model's own defaults hold. */
export function requestBody(
  { model, system, sampling }: Pick<Conversation, 'model' | 'system' | 'sampling'>,
  messages: readonly Pick<Message, 'role' | 'text'>[],
): object {
  const { temperature, topP, topK, minP, repetitionPenalty, maxTokens, seed, stop } = sampling
  return {
    model,
    messages: [
      ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
      ...alternating(messages).map(({ role, text }) => ({ role, content: text })),
    ],
    stream: true,
    stream_options: { include_usage: true },
    temperature,
    top_p: topP,
    top_k: topK,
    min_p: minP,
    repetition_penalty: repetitionPenalty,
    max_completion_tokens: maxTokens,
    seed,
    stop: stop?.length === 0 ? undefined : stop,
  }
}

/** Without answers that never came: the questions around them are one, since templates want the roles to take turns. */
function alternating(messages: readonly Pick<Message, 'role' | 'text'>[]): Pick<Message, 'role' | 'text'>[] {
  const turns: Pick<Message, 'role' | 'text'>[] = []
  for (const message of messages.filter(({ text }) => text !== '')) {
    const last = turns.at(-1)
    if (last?.role === message.role) turns.splice(-1, 1, { ...last, text: `${last.text}\n\n${message.text}` })
    else turns.push(message)
  }
  return turns
}

function* ofChunk({ choices = [], usage, timings, petals }: Chunk): Generator<AnswerEvent> {
  const [choice] = choices
  const { content, reasoning_content: reasoning } = choice?.delta ?? {}
  if (reasoning) yield { kind: 'reasoning', text: reasoning }
  if (content) yield { kind: 'text', text: content }
  if (petals !== undefined) yield newsOf(petals)
  if (usage) {
    const { prompt_tokens: prompt, completion_tokens: answer, prompt_tokens_details: details } = usage
    yield { kind: 'usage', prompt, answer, cached: details?.cached_tokens ?? 0 }
  }
  if (timings !== undefined) {
    const { prompt_ms: promptMs, predicted_per_second: tokensPerSecond } = timings
    yield { kind: 'timings', firstTokenSeconds: promptMs / 1000, tokensPerSecond }
  }
  if (choice?.finish_reason) yield { kind: 'finish', reason: choice.finish_reason }
}

function newsOf({ chain, recoveries, waiting }: NonNullable<Chunk['petals']>): AnswerEvent {
  return {
    kind: 'swarm',
    chain,
    recoveries: recoveries.map(({ lost, seconds, replayed_tokens: replayed }) => ({ lost, seconds, replayed })),
    waiting: waiting && { reason: waiting.reason, missingBlocks: waiting.missing_blocks },
  }
}
