import type { PlaceLogprobs } from '../../../sampling/token-logprobs.ts'
import type { TokenTexts } from '../../models/token-texts.ts'
import { told } from '../logprobs.ts'

/** Tokens with their log-probabilities; the first token of a prompt has none. */
export interface PlacedTokens {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly (PlaceLogprobs | null)[]
}

/**
 * The `logprobs` of a completion's choice, whose tokens made `text`, which begins `offset` characters behind the
 * beginning of all. Where two of the likeliest tokens have one text, the likelier counts; the chosen token is always
 * among them. The tokens must have been learned.
 */
export function completionLogprobs(
  tokens: TokenTexts,
  { tokenIds, logprobs }: PlacedTokens,
  { text, offset, asIds }: { readonly text: string; readonly offset: number; readonly asIds: boolean },
): object {
  const textOf = (id: number): string => (asIds ? `token_id:${id}` : tokens.of(id).text)
  const offsets: number[] = []
  let at = 0
  for (const id of tokenIds) {
    offsets.push(offset + at)
    at += shownLength(text, at, tokens.of(id).text)
  }
  return {
    tokens: tokenIds.map(textOf),
    token_logprobs: logprobs.map((place) => (place === null ? null : told(place.logprob))),
    top_logprobs: logprobs.map((place, i) => (place === null ? null : topOf(place, tokenIds[i]!, textOf))),
    text_offset: offsets,
  }
}

/** How much of a text a token is: nothing of it, if it is a special token that texts are shown without. */
function shownLength(text: string, at: number, token: string): number {
  if (text.startsWith(token, at)) return token.length
  // Some tokenizers drop the space before a text's first word.
  const word = token.trimStart()
  return text.startsWith(word, at) ? word.length : 0
}

function topOf({ logprob, top }: PlaceLogprobs, id: number, textOf: (id: number) => string): object {
  const found = new Map<string, number>()
  for (const each of [...top, { tokenId: id, logprob }]) {
    const text = textOf(each.tokenId)
    found.set(text, Math.max(found.get(text) ?? -Infinity, told(each.logprob)))
  }
  return Object.fromEntries(found)
}

/** The ids of all tokens that are told of. */
export function toldIds({ tokenIds, logprobs }: PlacedTokens): number[] {
  return [...tokenIds, ...logprobs.flatMap((place) => place?.top.map(({ tokenId }) => tokenId) ?? [])]
}
