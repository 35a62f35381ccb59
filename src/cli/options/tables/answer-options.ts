import type { OptionTable } from '../option-table.ts'
import { answerFlags } from './answer-flags.ts'
import { TEXT } from './groups.ts'

const { numBeams, lengthPenalty, numReturnSequences, logprobs, ...oneAnswer } = answerFlags(TEXT)

/** How one answer is generated. */
export const answerOptions = oneAnswer

/** How texts are generated. */
export const generationOptions = {
  ...answerOptions,
  numBeams,
  lengthPenalty,
  numReturnSequences,
  logprobs,
} as const satisfies OptionTable
