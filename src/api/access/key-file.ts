import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { UsageError, errorMessage } from '../../base/errors.ts'
import type { ApiKey } from './access-control.ts'

/** The fewest characters of a key: shorter ones can be guessed. */
const MIN_KEY_CHARS = 8

const KEYS = z.array(
  z.strictObject({
    name: z.string().regex(/^[\w.@-]{1,64}$/, 'must be 1 to 64 letters, digits and . @ _ -'),
    key: z.string().min(MIN_KEY_CHARS).max(512),
    tokensPerDay: z.number().int().positive().optional(),
  }),
)

/**
 * Reads a file of keys: a YAML list of `name`, `key` and perhaps `tokensPerDay`. Throws `USAGE`, naming the entry and
 * never a key.
 */
export async function readKeyFile(file: string): Promise<ApiKey[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`--api-key-file ${file}: ${errorMessage(error)}`, { cause: error })
  })
  let value: unknown
  try {
    value = parse(text)
  } catch {
    throw new UsageError(`--api-key-file ${file}: this is no YAML`)
  }
  const { data, error } = KEYS.safeParse(value)
  if (data === undefined) {
    const [issue] = error.issues
    throw new UsageError(`--api-key-file ${file}: entry ${issue!.path.join('.')}: ${issue!.message}`)
  }
  checkDifferent(data, file)
  return data
}

function checkDifferent(keys: readonly ApiKey[], file: string): void {
  for (const field of ['name', 'key'] as const) {
    const seen = new Set<string>()
    for (const each of keys) {
      if (seen.has(each[field]))
        throw new UsageError(`--api-key-file ${file}: two entries have the ${field} of ${each.name}`)
      seen.add(each[field])
    }
  }
}
