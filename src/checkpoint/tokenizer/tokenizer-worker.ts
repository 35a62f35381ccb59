import { workerData } from 'node:worker_threads'
import { errorMessage } from '../../base/errors.ts'
import { answerCalls } from '../../base/thread/answer-calls.ts'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import { ConstraintCompiler } from '../../sampling/grammar/compile.ts'
import {
  type AdvanceAnswer,
  type AdvanceRequest,
  type TokenizerCalls,
  type TokenizerWorkerData,
  tokenizerError,
} from './calls.ts'
import { loadCodec } from './codec.ts'
import { advance, rest } from './stream.ts'

/** Constraints that have been found good: agents ask for the same ones again and again. */
const checked = new Set<string>()
const MAX_CHECKED = 64

/** The tokenizer's thread: loading a tokenizer takes seconds, and encoding long texts takes long. */
answerCalls<TokenizerCalls>(() => {
  const codec = loadCodec((workerData as TokenizerWorkerData).folder)
  const decoder = (skipSpecialTokens: boolean) => (ids: readonly number[]) => codec.decode(ids, skipSpecialTokens)
  const advanceOne = ({ state, ids, skipSpecialTokens }: AdvanceRequest): AdvanceAnswer => {
    try {
      return advance(decoder(skipSpecialTokens), state, ids)
    } catch (error) {
      return { failure: errorMessage(error) }
    }
  }
  return {
    encode: ({ text, addSpecialTokens }) => attempt(() => codec.encode(text, addSpecialTokens)),
    decode: ({ ids, skipSpecialTokens }) => attempt(() => codec.decode(ids, skipSpecialTokens)),
    advance: (requests) => requests.map(advanceOne),
    rest: ({ state, skipSpecialTokens }) => attempt(() => rest(decoder(skipSpecialTokens), state)),
    vocabulary: () => codec.vocabulary(),
    checkConstraint: ({ constraint }) => checkOnce(constraint),
  }
})

function checkOnce(constraint: Constraint): void {
  const key = JSON.stringify(constraint)
  if (checked.has(key)) return
  new ConstraintCompiler().compile(constraint)
  if (checked.size >= MAX_CHECKED) checked.clear()
  checked.add(key)
}

/** Turns anything that the library throws into the tokenizer's error. */
function attempt<T>(compute: () => T): T {
  try {
    return compute()
  } catch (error) {
    throw tokenizerError(errorMessage(error))
  }
}
