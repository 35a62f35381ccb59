import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import { optionsOfFlags } from '../options/tables/answer-flags.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { answerOptions } from '../options/tables/answer-options.ts'

/**
 * The library's generation options from a command's options. `newTokens` is the answer's maximal length if neither the
 * options nor the model give one; less if the prompt, of `promptLength` tokens, leaves less room.
 */
export function toGenerationOptions(
  values: OptionValues<typeof answerOptions>,
  { options: own, maxPositions }: GenerationDefaults,
  newTokens: number,
  promptLength = 0,
): GenerationOptions {
  const given = optionsOfFlags(values)
  const known = given.maxNewTokens ?? own.maxNewTokens ?? own.maxLength
  if (known !== undefined) return given
  // At least 1, so that a prompt that is too long is refused for its own length.
  return { ...given, maxNewTokens: Math.max(1, Math.min(newTokens, maxPositions - promptLength)) }
}
