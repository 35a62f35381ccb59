import { readFile } from 'node:fs/promises'
import { UsageError, errorMessage } from '../../../base/errors.ts'
import type { Constraint } from '../../../sampling/grammar/constraint.ts'
import type { GenerateValues } from './options.ts'

/** The constraint that --json-schema gives; undefined without it. Throws `USAGE` for a file that holds no schema. */
export async function readConstraint({
  jsonSchema: file,
}: Pick<GenerateValues, 'jsonSchema'>): Promise<Constraint | undefined> {
  if (file === undefined) return undefined
  try {
    const schema: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema)))
      return { kind: 'json_schema', schema: schema as { readonly [keyword: string]: never } | boolean }
  } catch (error) {
    throw new UsageError(`--json-schema ${file}: ${errorMessage(error)}`, { cause: error })
  }
  throw new UsageError(`--json-schema ${file}: a schema is an object, or true or false`)
}
