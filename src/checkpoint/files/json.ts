import { readFileSync, type Stats, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { errorMessage } from '../../base/errors.ts'
import { CheckpointError } from './errors.ts'

/** The largest JSON file that is read; tokenizers of 250,000 tokens take about 35 MB. */
const MAX_JSON_BYTES = 100e6

/** A JSON object, whose fields are unchecked. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value of JSON is an object, not null and no list. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether `file` is a regular file. A symbolic link counts as its target. */
export async function isFile(file: string): Promise<boolean> {
  const stats = await stat(file).catch(() => undefined)
  return stats?.isFile() ?? false
}

/**
 * Reads a JSON file whose root is an object. Throws `CHECKPOINT_MISSING_FILE` if it is no regular file, and
 * `CHECKPOINT_FORMAT` if it is too large, not JSON or not an object.
 */
export async function readJsonObject(file: string): Promise<JsonObject> {
  checkFile(file, await stat(file).catch(() => undefined))
  return parseJsonObject(await readFile(file, 'utf8'), file)
}

/** As `readJsonObject`, for worker threads; undefined if nothing is there. */
export function readJsonObjectSync(file: string): JsonObject | undefined {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  checkFile(file, stats)
  return parseJsonObject(readFileSync(file, 'utf8'), file)
}

function checkFile(file: string, stats: Stats | undefined): void {
  if (!stats?.isFile()) throw new CheckpointError('CHECKPOINT_MISSING_FILE', `${file} is missing or not a file`)
  if (stats.size > MAX_JSON_BYTES) {
    throw new CheckpointError(
      'CHECKPOINT_FORMAT',
      `${file} has ${stats.size} bytes, more than the ${MAX_JSON_BYTES} allowed`,
    )
  }
}

/** Parses a JSON text whose root is an object. Throws `CHECKPOINT_FORMAT`, naming `file`. */
export function parseJsonObject(text: string, file: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new CheckpointError('CHECKPOINT_FORMAT', `${file} is not valid JSON: ${errorMessage(error)}`, error)
  }
  if (!isJsonObject(value)) throw new CheckpointError('CHECKPOINT_FORMAT', `${file} must hold a JSON object`)
  return value
}
