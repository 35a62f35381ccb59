import type { Json, JsonObject } from '../../../../src/sampling/grammar/json/json.ts'

/** A schema, values that fulfil it, and values that do not. */
export type SchemaCase = readonly [schema: JsonObject | boolean, valid: readonly Json[], invalid: readonly Json[]]
