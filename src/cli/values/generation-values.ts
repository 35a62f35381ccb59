import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import { optionsOfFlags } from '../options/answer-flags.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { answerOptions } from '../options/options.ts'

/**
 * The library's generation options from a command's options. `newTokens` is the answer's maximal length if neither the
 * options nor the model give one.
 */
export function toGenerationOptions(
  values: OptionValues<typeof answerOptions>,
  { options: own }: GenerationDefaults,
  newTokens: number,
): GenerationOptions {
  const given = optionsOfFlags(values)
  const known = given.maxNewTokens ?? own.maxNewTokens ?? own.maxLength
  return known === undefined ? { ...given, maxNewTokens: newTokens } : given
}
