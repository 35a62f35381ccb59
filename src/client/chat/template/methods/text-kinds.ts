import { UnsupportedError } from '../errors.ts'
import { codePoints } from '../values/text.ts'

/** The questions about a text that Unicode answers. */
type Kind = 'isdigit' | 'isdecimal' | 'isalpha' | 'isalnum' | 'isupper' | 'islower'

/**
 * Python's `str.isdigit()` and the like. Throws for the rare letters of which JavaScript's Unicode tables say too
 * little.
 */
export function isOfKind(text: string, kind: Kind): boolean {
  if (kind === 'isupper' || kind === 'islower') {
    const other = kind === 'isupper' ? /[\p{Lowercase}\p{Lt}]/u : /[\p{Uppercase}\p{Lt}]/u
    return !other.test(text) && (kind === 'isupper' ? /\p{Uppercase}/u : /\p{Lowercase}/u).test(text)
  }
  if (kind !== 'isdecimal' && kind !== 'isalpha' && /[\p{No}\p{Nl}]/u.test(text))
    throw new UnsupportedError(`str.${kind} of digits that are not decimal`)
  if (kind === 'isalnum' && /[\u3007\u4e00-\u9fff]/.test(text) && !/^[\p{L}\p{Nd}]+$/u.test(text))
    throw new UnsupportedError('str.isalnum of Chinese numerals')
  const allowed = { isdigit: /^\p{Nd}$/u, isdecimal: /^\p{Nd}$/u, isalpha: /^\p{L}$/u, isalnum: /^[\p{L}\p{Nd}]$/u }[
    kind
  ]
  return text !== '' && codePoints(text).every((c) => allowed.test(c))
}
