import { createReadStream } from 'node:fs'
import { errorMessage } from '../../../base/errors.ts'
import { DatasetError } from './dataset.ts'
import { checkFile } from './read-text.ts'
import { refused } from './records.ts'

/** The longest line that is read: a file without line ends is no file of records. */
const MAX_LINE_BYTES = 64 * 1024 ** 2

const NEWLINE = 10

/** A value of a file of JSON lines, and where it stands. */
export interface JsonLine {
  readonly where: string
  readonly value: unknown
}

/**
 * Reads a file with one JSON value a line; empty lines are passed over. Throws `DATASET_FILE` for a file that cannot be
 * read, and `DATASET_RECORD`, naming the line, for what is no UTF-8 or no JSON.
 */
export async function* readJsonLines(file: string): AsyncGenerator<JsonLine> {
  let number = 0
  for await (const bytes of linesOf(file)) {
    number++
    const where = `${file}, line ${number}`
    const text = decode(bytes, where)
    if (text.trim() === '') continue
    try {
      yield { where, value: JSON.parse(text) }
    } catch (error) {
      throw refused(where, `it is not JSON (${errorMessage(error)})`, 'write one JSON object on each line')
    }
  }
}

function decode(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw refused(where, 'it is not UTF-8', 'save the file as UTF-8')
  }
}

/** The lines of a file as bytes, without their ends. */
async function* linesOf(file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = []
  let restBytes = 0
  await checkFile(file)
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...rest, chunk.subarray(from, end)])
      rest = []
      restBytes = 0
      from = end + 1
    }
    rest.push(chunk.subarray(from))
    restBytes += chunk.length - from
    if (restBytes > MAX_LINE_BYTES)
      throw new DatasetError('DATASET_FILE', `${file} has a line of over ${MAX_LINE_BYTES} bytes: is it .jsonl?`)
  }
  if (restBytes > 0) yield Buffer.concat(rest)
}
