import type { GenerationOptions } from '../client/generation/options.ts'
import type { OptionValues } from './option-table.ts'
import type { answerOptions } from './options.ts'

/** The library's options from those of a command line. */
export function generationOptions(values: OptionValues<typeof answerOptions>): GenerationOptions & { readonly maxNewTokens: number } {
  const {
    maxNewTokens, minNewTokens, temperature, topK, topP, minP, typicalP, repetitionPenalty, presencePenalty, frequencyPenalty,
    noRepeatNgramSize, maxTime, seed, stop: stopStrings,
  } = values
  return {
    maxNewTokens, minNewTokens, temperature, topK, topP, minP, typicalP, repetitionPenalty, presencePenalty, frequencyPenalty,
    noRepeatNgramSize, seed, stopStrings, maxTimeMs: maxTime === undefined ? undefined : maxTime * 1000,
  }
}
