import { z } from 'zod'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import type { JsonObject } from '../../sampling/grammar/json/json.ts'
import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import { badRequest } from '../errors/api-error.ts'
import { apiErrorOf } from '../errors/error-of.ts'
import { optional } from './fields.ts'

const schema = z.record(z.string(), z.unknown())

const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: z.looseObject({ schema, strict: optional(z.boolean()) }),
    }),
  ],
  { error: 'must be {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": ...}' },
)

/** A schema as an object, or as the text of one. */
const schemaOrText = z.union([schema, z.string()])

/** What vLLM enforces and this does not. */
const refused = z.null('is not enforced here: give a JSON schema, a regex or a choice').optional()

const FORMS = {
  json: optional(schemaOrText),
  json_object: optional(z.boolean()),
  regex: optional(z.string()),
  choice: optional(z.array(z.string().min(1)).min(1)),
  grammar: refused,
  structural_tag: refused,
}

/** Fields that say what an answer must look like: OpenAI's, and vLLM's, the newer and the older ones. */
export const CONSTRAINT_FIELDS = {
  response_format: optional(responseFormat),
  structured_outputs: optional(z.looseObject(FORMS)),
  guided_json: FORMS.json,
  guided_regex: FORMS.regex,
  guided_choice: FORMS.choice,
  guided_grammar: refused,
}

const fields = z.object(CONSTRAINT_FIELDS)
export type ConstraintFields = z.output<typeof fields>

/** A constraint, and the field that asks for it. */
export interface AskedConstraint {
  readonly constraint: Constraint
  readonly param: string
}

/**
 * What an answer must look like; undefined where nothing is asked. Throws an `ApiError` for a schema that is none, and
 * where several are asked for.
 */
export function askedConstraint(fields: ConstraintFields): AskedConstraint | undefined {
  const { response_format: format, structured_outputs: forms } = fields
  const { guided_json: json, guided_regex: regex, guided_choice: choice } = fields
  const asked = [
    ...(format === undefined ? [] : formatConstraints(format)),
    ...(forms === undefined ? [] : formConstraints(forms, 'structured_outputs')),
    ...formConstraints({ json }, 'guided_json'),
    ...formConstraints({ regex }, 'guided_regex'),
    ...formConstraints({ choice }, 'guided_choice'),
  ]
  const [first, second] = asked
  if (second !== undefined)
    throw badRequest(`${second.param}: an answer can have one form only: ${first!.param} asks for one`, second.param)
  if (forms !== undefined && formConstraints(forms, '').length === 0)
    throw badRequest('structured_outputs: give one of json, json_object, regex and choice', 'structured_outputs')
  return first
}

/** Throws an `ApiError` that names the field, for a constraint that cannot be enforced, or not with this tokenizer. */
export async function checkAsked({ constraint, param }: AskedConstraint, tokenizer: Tokenizer | undefined) {
  if (tokenizer === undefined) throw badRequest(`${param}: the model has no tokenizer`, param)
  try {
    await tokenizer.checkConstraint(constraint)
  } catch (error) {
    const { message, details } = apiErrorOf(error)
    throw details.status === 400 ? badRequest(message, param, details.code) : error
  }
}

function formatConstraints(format: NonNullable<ConstraintFields['response_format']>): AskedConstraint[] {
  const param = 'response_format'
  if (format.type === 'text') return []
  const { schema: wanted, strict } = format.type === 'json_schema' ? format.json_schema : {}
  if (wanted === undefined) return [{ constraint: { kind: 'json_object' }, param }]
  return [{ constraint: { kind: 'json_schema', schema: wanted as JsonObject, strict: strict === true }, param }]
}

type Forms = Partial<NonNullable<ConstraintFields['structured_outputs']>>

function formConstraints({ json, json_object, regex, choice }: Forms, param: string): AskedConstraint[] {
  const asked: Constraint[] = []
  if (json !== undefined) asked.push({ kind: 'json_schema', schema: readSchema(json, param) as JsonObject })
  if (json_object === true) asked.push({ kind: 'json_object' })
  if (regex !== undefined) asked.push({ kind: 'regex', pattern: regex })
  if (choice !== undefined) asked.push({ kind: 'choice', texts: choice })
  return asked.map((constraint) => ({ constraint, param }))
}

function readSchema(json: string | Record<string, unknown>, param: string): unknown {
  if (typeof json !== 'string') return json
  try {
    const value: unknown = JSON.parse(json)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below.
  }
  throw badRequest(`${param}: a schema must be a JSON object`, param)
}
