import { workerData } from 'node:worker_threads'
import { errorMessage } from '../../base/errors.ts'
import { answerCalls } from '../../base/thread/answer-calls.ts'
import {
  type AdvanceAnswer,
  type AdvanceRequest,
  type TokenizerCalls,
  type TokenizerWorkerData,
  tokenizerError,
} from './calls.ts'
import { loadCodec } from './codec.ts'
import { advance, rest } from './stream.ts'

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
  }
})

/** Turns anything that the library throws into the tokenizer's error. */
function attempt<T>(compute: () => T): T {
  try {
    return compute()
  } catch (error) {
    throw tokenizerError(errorMessage(error))
  }
}
