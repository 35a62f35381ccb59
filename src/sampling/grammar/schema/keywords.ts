import { invalid, unsupported } from '../errors.ts'
import { type Json, type JsonObject, isObject } from '../json/json.ts'

/** What a keyword's value must be. */
type Form =
  | 'number'
  | 'positive'
  | 'count'
  | 'text'
  | 'flag'
  | 'schema'
  | 'schemas'
  | 'schema map'
  | 'names'
  | 'types'
  | 'values'
  | 'any'

/** Keywords that are enforced. */
const ENFORCED: Readonly<Record<string, Form>> = {
  $ref: 'text',
  $defs: 'schema map',
  definitions: 'schema map',
  $anchor: 'text',
  type: 'types',
  enum: 'values',
  const: 'any',
  allOf: 'schemas',
  anyOf: 'schemas',
  oneOf: 'schemas',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'positive',
  minLength: 'count',
  maxLength: 'count',
  pattern: 'text',
  format: 'text',
  items: 'schema',
  prefixItems: 'schemas',
  minItems: 'count',
  maxItems: 'count',
  uniqueItems: 'flag',
  properties: 'schema map',
  required: 'names',
  additionalProperties: 'schema',
  patternProperties: 'schema map',
  propertyNames: 'schema',
  minProperties: 'count',
  maxProperties: 'count',
}

/** Keywords that say something about a schema and ask nothing of a value. */
const NOTES: ReadonlySet<string> = new Set([
  '$schema',
  '$id',
  'id',
  '$comment',
  '$vocabulary',
  'title',
  'description',
  'default',
  'example',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'discriminator',
  'externalDocs',
  'xml',
  'contentMediaType',
  'contentEncoding',
  'contentSchema',
])

/** Keywords that are refused, and what can be done about it. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['not', 'what a value is not cannot be enforced; describe what it is'],
  ...['if', 'then', 'else', 'dependentRequired', 'dependentSchemas', 'dependencies'].map(
    (keyword) => [keyword, 'conditions cannot be enforced; use anyOf'] as const,
  ),
  ...['contains', 'minContains', 'maxContains'].map(
    (keyword) => [keyword, 'what a list contains cannot be enforced; use items or prefixItems'] as const,
  ),
  ['unevaluatedItems', 'use items'],
  ['unevaluatedProperties', 'use additionalProperties'],
  ['additionalItems', 'use prefixItems with items'],
  ['$dynamicRef', 'use $ref'],
  ['$dynamicAnchor', 'use $anchor'],
  ['$recursiveRef', 'use $ref'],
  ['$recursiveAnchor', 'use $ref'],
  ['nullable', 'use a type such as ["string", "null"]'],
])

const TYPES: readonly unknown[] = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']

const FORMS: Readonly<Record<Form, (value: Json) => boolean>> = {
  number: (value) => Number.isFinite(value),
  positive: (value) => Number.isFinite(value) && (value as number) > 0,
  count: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  text: (value) => typeof value === 'string',
  flag: (value) => typeof value === 'boolean',
  schema: isSchema,
  schemas: (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema),
  'schema map': (value) => isObject(value) && Object.values(value).every(isSchema),
  names: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  types: (value) => {
    const types = Array.isArray(value) ? value : [value]
    return types.length > 0 && types.every((type) => TYPES.includes(type))
  },
  values: (value) => Array.isArray(value) && value.length > 0,
  any: () => true,
}

const DESCRIPTIONS: Readonly<Record<Form, string>> = {
  number: 'a finite number',
  positive: 'a number above 0',
  count: 'a whole number of at least 0',
  text: 'a text',
  flag: 'true or false',
  schema: 'a schema, an object or a boolean',
  schemas: 'a list of schemas that is not empty',
  'schema map': 'an object of schemas',
  names: 'a list of texts',
  types: `one of ${TYPES.join(', ')}, or a list of these`,
  values: 'a list of values that is not empty',
  any: 'a value',
}

/**
 * Checks that all keywords of one schema, not of those within it, are known, enforced and have a value that they can
 * have. Throws `CONSTRAINT_UNSUPPORTED` and `CONSTRAINT_INVALID`, naming keyword and path.
 */
export function checkKeywords(schema: JsonObject, path: string): void {
  for (const [keyword, value] of Object.entries(schema)) {
    const form = Object.hasOwn(ENFORCED, keyword) ? ENFORCED[keyword]! : undefined
    if (form !== undefined) {
      // Before 2020 a list of schemas stood for what prefixItems is now.
      if (keyword === 'items' && Array.isArray(value)) throw unsupported(path, 'items', 'use prefixItems for a list')
      if (!FORMS[form](value)) throw invalid(`${keyword} at ${path}`, `must be ${DESCRIPTIONS[form]}`, value)
    } else if (REFUSED.has(keyword)) {
      throw unsupported(path, keyword, REFUSED.get(keyword)!)
    } else if (!NOTES.has(keyword) && !keyword.startsWith('x-')) {
      throw unsupported(path, keyword, 'no keyword of JSON Schema that is known here')
    }
  }
  if (schema['uniqueItems'] === true)
    throw unsupported(path, 'uniqueItems', 'that items differ cannot be enforced; leave it out')
}

function isSchema(value: Json): boolean {
  return typeof value === 'boolean' || isObject(value)
}
