import type { GenerationResult } from '../../../client/generation/result.ts'
import type { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'

/** A line for each generated token: its log-probability, its id and, if the model has a tokenizer, its text. */
export async function describeLogprobs(
  { tokenizer }: Pick<AutoDistributedModelForCausalLM, 'tokenizer'>,
  { tokenIds, logprobs }: GenerationResult,
): Promise<string[]> {
  return Promise.all(
    tokenIds.map(async (id, i) => {
      const text = await tokenizer?.decode([id], { skipSpecialTokens: false })
      const figures = `${(logprobs[i] ?? NaN).toFixed(3).padStart(9)} ${String(id).padStart(7)}`
      return text === undefined ? figures : `${figures}  ${JSON.stringify(text)}`
    }),
  )
}
