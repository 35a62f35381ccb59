import { readFile, stat } from 'node:fs/promises'
import { errorMessage } from '../../../base/errors.ts'
import { DatasetError } from './dataset.ts'

/** The text of a file. Throws `DATASET_FILE` for what cannot be read or is no UTF-8. */
export async function readText(file: string): Promise<string> {
  await checkFile(file)
  const bytes = await readFile(file).catch((error: unknown) => {
    throw unreadable(file, error)
  })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new DatasetError('DATASET_FILE', `${file} is not UTF-8: save it as UTF-8`)
  }
}

/** Throws `DATASET_FILE` for what is no file that can be read. */
export async function checkFile(file: string): Promise<void> {
  const stats = await stat(file).catch((error: unknown) => {
    throw unreadable(file, error)
  })
  if (!stats.isFile()) throw new DatasetError('DATASET_FILE', `${file} is no file: name a .jsonl or .txt file`)
}

function unreadable(file: string, error: unknown): DatasetError {
  return new DatasetError('DATASET_FILE', `${file} cannot be read: ${errorMessage(error)}`)
}
