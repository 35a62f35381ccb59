import type { JsonObject } from './json/json.ts'

/**
 * What an answer must look like, enforced at every token. Plain data. The first kinds are what callers ask for, the
 * others put these together: a call of a tool within free text, say.
 */
export type Constraint =
  /** Any JSON object. */
  | { readonly kind: 'json_object' }
  /**
   * A JSON value that fulfils a schema. `strict`: objects have no other properties than those that they declare, also
   * where the schema does not say so.
   */
  | { readonly kind: 'json_schema'; readonly schema: JsonObject | boolean; readonly strict?: boolean | undefined }
  /** A text that a regular expression matches as a whole. */
  | { readonly kind: 'regex'; readonly pattern: string }
  /** One of these texts. */
  | { readonly kind: 'choice'; readonly texts: readonly string[] }
  /** Exactly this text; where the model has a special token of this text, that token. */
  | { readonly kind: 'marker'; readonly text: string }
  /** Any text up to the first `until`, which belongs to it. `until` may be a special token. */
  | { readonly kind: 'text'; readonly until: string }
  /** Any text in which none of these occurs. It may be empty. */
  | { readonly kind: 'text'; readonly without: readonly string[] }
  /** One after the other. */
  | { readonly kind: 'sequence'; readonly parts: readonly Constraint[] }
  /** Any one of them. */
  | { readonly kind: 'any_of'; readonly options: readonly Constraint[] }
  /** The same several times. `max` is no limit unless given. */
  | { readonly kind: 'repeat'; readonly part: Constraint; readonly min: number; readonly max?: number | undefined }

/** How deep constraints may lie within constraints. */
const MAX_DEPTH = 32

/** Whether a value has the form of a constraint. What a schema or a pattern says is only seen when it is compiled. */
export function isConstraint(value: unknown, depth = 0): value is Constraint {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return false
  const given = value as Readonly<Record<string, unknown>>
  const are = (parts: unknown): boolean =>
    Array.isArray(parts) && parts.length > 0 && parts.every((part) => isConstraint(part, depth + 1))
  switch (given['kind']) {
    case 'json_object':
      return true
    case 'json_schema':
      return isSchema(given['schema']) && ['undefined', 'boolean'].includes(typeof given['strict'])
    case 'regex':
      return typeof given['pattern'] === 'string'
    case 'choice':
      return areTexts(given['texts'])
    case 'marker':
      return isText(given['text'])
    case 'text':
      return isText(given['until']) || areTexts(given['without'])
    case 'sequence':
      return are(given['parts'])
    case 'any_of':
      return are(given['options'])
    case 'repeat':
      return isConstraint(given['part'], depth + 1) && isCount(given['min']) && isCount(given['max'] ?? 0)
    default:
      return false
  }
}

function isSchema(value: unknown): boolean {
  return typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value))
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isText)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
