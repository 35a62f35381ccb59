import { z } from 'zod'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import type { JsonObject } from '../../sampling/grammar/json/json.ts'
import { badRequest } from '../errors/api-error.ts'
import { optional } from './fields.ts'

const schema = z.record(z.string(), z.unknown())

const responseFormat = z.union(
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: z.looseObject({ schema: optional(schema), strict: optional(z.boolean()) }),
    }),
  ],
  { error: 'must have the type text, json_object, or json_schema with a json_schema' },
)

/** A schema as an object, or as the text of one. */
const schemaOrText = z.union([schema, z.string()])

const FORMS = {
  json: optional(schemaOrText),
  json_object: optional(z.boolean()),
  regex: optional(z.string()),
  choice: optional(z.array(z.string().min(1)).min(1)),
}

/** Fields that say what an answer must look like: OpenAI's, and vLLM's, the newer and the older ones. */
export const CONSTRAINT_FIELDS = {
  response_format: optional(responseFormat),
  structured_outputs: optional(z.looseObject(FORMS)),
  guided_json: FORMS.json,
  guided_regex: FORMS.regex,
  guided_choice: FORMS.choice,
}

const fields = z.object(CONSTRAINT_FIELDS)
export type ConstraintFields = z.output<typeof fields>

/** A constraint, and the field that asks for it. */
export interface AskedConstraint {
  readonly constraint: Constraint
  readonly param: string
}

/** What an answer must look like; undefined where nothing is asked. Throws an `ApiError` for a schema that is none. */
export function askedConstraint(fields: ConstraintFields): AskedConstraint | undefined {
  const format = fields.response_format
  if (format?.type === 'json_object') return { constraint: { kind: 'json_object' }, param: 'response_format' }
  if (format?.type === 'json_schema') {
    const { schema: wanted, strict } = format.json_schema
    const constraint: Constraint =
      wanted === undefined
        ? { kind: 'json_object' }
        : { kind: 'json_schema', schema: wanted as JsonObject, strict: strict === true }
    return { constraint, param: 'response_format' }
  }
  const { structured_outputs: forms = {}, guided_json: json, guided_regex: regex, guided_choice: choice } = fields
  return (
    formConstraint(forms, 'structured_outputs') ??
    formConstraint({ json }, 'guided_json') ??
    formConstraint({ regex }, 'guided_regex') ??
    formConstraint({ choice }, 'guided_choice')
  )
}

type Forms = Partial<NonNullable<ConstraintFields['structured_outputs']>>

function formConstraint({ json, json_object, regex, choice }: Forms, param: string): AskedConstraint | undefined {
  if (json !== undefined)
    return { constraint: { kind: 'json_schema', schema: readSchema(json, param) as JsonObject }, param }
  if (json_object === true) return { constraint: { kind: 'json_object' }, param }
  if (regex !== undefined) return { constraint: { kind: 'regex', pattern: regex }, param }
  if (choice !== undefined) return { constraint: { kind: 'choice', texts: choice }, param }
  return undefined
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
