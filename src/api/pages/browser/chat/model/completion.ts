import { ask, failureOf } from '../../shared/api.ts'
import { readEvents } from '../../shared/event-stream.ts'
import type { Conversation, Hop, Incident, Message } from './conversation.ts'

/** What an answer's stream tells, as it comes. */
export type AnswerEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  | { readonly kind: 'chain'; readonly chain: readonly Hop[] }
  | { readonly kind: 'incident'; readonly incident: Incident }
  | { readonly kind: 'finish'; readonly reason: string }
  | { readonly kind: 'usage'; readonly prompt: number; readonly cached: number; readonly answer: number }
  | { readonly kind: 'timings'; readonly firstTokenSeconds: number; readonly tokensPerSecond: number }

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
  readonly petals?: { readonly chain: readonly Hop[]; readonly recoveries: readonly RecoveryMessage[] }
  readonly error?: unknown
}

interface RecoveryMessage {
  readonly lost: readonly string[]
  readonly seconds: number
  readonly replayed_tokens: number
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
  let numRecoveries = 0
  for await (const { name, data } of readEvents(response.body!)) {
    if (data === '[DONE]') return
    const message = JSON.parse(data) as Chunk
    if (message.error !== undefined) throw failureOf(message)
    if (name === 'petals.recovery') numRecoveries += 1
    if (name.startsWith('petals.')) yield* ofSwarm(name, message)
    else yield* ofChunk(message, numRecoveries)
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

function* ofSwarm(name: string, message: object): Generator<AnswerEvent> {
  if (name === 'petals.chain') {
    const { chain } = message as { chain: readonly Hop[] }
    yield { kind: 'chain', chain }
  }
  if (name === 'petals.recovery') yield { kind: 'incident', incident: recovery(message as RecoveryMessage) }
  if (name === 'petals.waiting') {
    const { reason, missing_blocks: missingBlocks = [] } = message as { reason: string; missing_blocks?: number[] }
    yield { kind: 'incident', incident: { kind: 'waiting', reason, missingBlocks } }
  }
}

/** `numRecoveries` were told of already as they happened: the end lists them all once more. */
function* ofChunk({ choices = [], usage, timings, petals }: Chunk, numRecoveries: number): Generator<AnswerEvent> {
  const [choice] = choices
  const { content, reasoning_content: reasoning } = choice?.delta ?? {}
  if (reasoning) yield { kind: 'reasoning', text: reasoning }
  if (content) yield { kind: 'text', text: content }
  if (petals !== undefined) {
    if (petals.chain.length > 0) yield { kind: 'chain', chain: petals.chain }
    for (const each of petals.recoveries.slice(numRecoveries)) yield { kind: 'incident', incident: recovery(each) }
  }
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

function recovery({ lost, seconds, replayed_tokens: replayed }: RecoveryMessage): Incident {
  return { kind: 'recovery', lost, seconds, replayed }
}
