import type { Sampling } from './conversation.ts'

/** A number that can be set for a conversation. */
export interface SamplingField {
  readonly name: Exclude<keyof Sampling, 'stop'>
  readonly label: string
  readonly hint: string
  readonly min: number
  readonly max: number
  readonly step: number
}

/** In the order in which they are shown; limits are those of the API. */
export const SAMPLING_FIELDS: readonly SamplingField[] = [
  { name: 'temperature', label: 'Temperature', hint: '0 always takes the likeliest token', min: 0, max: 2, step: 0.05 },
  {
    name: 'topP',
    label: 'Top p',
    hint: 'of the likeliest tokens, as many as have this share',
    min: 0.01,
    max: 1,
    step: 0.01,
  },
  { name: 'topK', label: 'Top k', hint: 'so many of the likeliest tokens', min: 1, max: 1000, step: 1 },
  { name: 'minP', label: 'Min p', hint: 'no token below this share of the likeliest', min: 0, max: 1, step: 0.01 },
  { name: 'repetitionPenalty', label: 'Repetition penalty', hint: '1 is none', min: 0.5, max: 2, step: 0.05 },
  { name: 'maxTokens', label: 'Most tokens', hint: 'of an answer', min: 1, max: 1_000_000, step: 1 },
  { name: 'seed', label: 'Seed', hint: 'the same one gives the same answer', min: 0, max: 2 ** 31 - 1, step: 1 },
]

/** With one field set to what was typed; undefined if that is no value of it. An empty text unsets it. */
export function withField(
  sampling: Sampling,
  { name, min, max, step }: SamplingField,
  typed: string,
): Sampling | undefined {
  const { [name]: _, ...others } = sampling
  if (typed.trim() === '') return others
  const value = Number(typed)
  const isWhole = step !== 1 || Number.isInteger(value)
  return Number.isFinite(value) && isWhole && value >= min && value <= max ? { ...others, [name]: value } : undefined
}

/** With stop texts, one a line; at most four are taken, as the API does. */
export function withStop(sampling: Sampling, typed: string): Sampling {
  const { stop: _, ...others } = sampling
  const stop = typed.split('\n').filter((line) => line !== '')
  return stop.length === 0 ? others : { ...others, stop: stop.slice(0, 4) }
}
