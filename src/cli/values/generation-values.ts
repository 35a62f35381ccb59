import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import type { GenerationOptions } from '../../client/generation/options/options.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { answerOptions } from '../options/options.ts'

/**
 * The library's options from those of a command line. `newTokens` is the longest answer where neither it nor the model
 * says.
 */
export function toGenerationOptions(
  values: OptionValues<typeof answerOptions>,
  { options: own }: GenerationDefaults,
  newTokens: number,
): GenerationOptions {
  const {
    maxNewTokens,
    minNewTokens,
    temperature,
    topK,
    topP,
    minP,
    typicalP,
    repetitionPenalty,
    presencePenalty,
    frequencyPenalty,
    noRepeatNgramSize,
    maxTime,
    seed,
    stop,
  } = values
  const ownLength = own.maxNewTokens ?? own.maxLength
  return {
    maxNewTokens: maxNewTokens ?? (ownLength === undefined ? newTokens : undefined),
    minNewTokens,
    temperature,
    topK,
    topP,
    minP,
    typicalP,
    repetitionPenalty,
    presencePenalty,
    frequencyPenalty,
    noRepeatNgramSize,
    seed,
    stopStrings: stop.length > 0 ? stop : undefined,
    maxTimeMs: maxTime === undefined ? undefined : maxTime * 1000,
  }
}
