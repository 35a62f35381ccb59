import type { DataModel } from '../../../../src/client/training/data/load-dataset.ts'

/** A tokenizer of characters, but for pairs that are one token: cuts between these change ids. */
export const PAIRS = ['ab', ': ', '. ']

/** Ends a text, as `$` does in texts. */
export const EOS = 36
export const BOS = 94

export function encodeToy(text: string, addSpecialTokens = true): number[] {
  const ids = addSpecialTokens ? [BOS] : []
  for (let at = 0; at < text.length; at++) {
    const pair = PAIRS.indexOf(text.slice(at, at + 2))
    if (pair >= 0) at++
    ids.push(pair >= 0 ? 1000 + pair : text.charCodeAt(at))
  }
  return ids
}

export function decodeToy(ids: Iterable<number>): string {
  return [...ids].map((id) => (id >= 1000 ? PAIRS[id - 1000]! : String.fromCharCode(id))).join('')
}

/** What data need of a model; `folder` holds a chat template, if any. */
export function toyModel(folder = '/nowhere'): DataModel {
  return {
    checkpoint: {
      folder,
      generation: { eosTokenIds: [EOS], bosTokenId: BOS, maxPositions: 512, options: {} },
      config: { vocabSize: 1100, maxLength: 512 } as DataModel['checkpoint']['config'],
    },
    tokenizer: { encode: async (text, options) => encodeToy(text, options?.addSpecialTokens) },
  }
}
