import type { FinishReason } from '../../client/generation/result.ts'

/** Why a text ended, in OpenAI's words. */
export function finishReasonOf(reason: FinishReason): 'stop' | 'length' {
  return reason === 'length' || reason === 'time' ? 'length' : 'stop'
}
