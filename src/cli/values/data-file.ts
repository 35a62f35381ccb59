import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { UsageError, errorMessage } from '../../base/errors.ts'

/** The file of data that an option names, before anything is opened. Throws `USAGE` for none, or one that cannot be. */
export async function requireData(flag: string, file: string | undefined): Promise<string> {
  if (file === undefined) throw new UsageError(`which data? Give ${flag} a .txt file, or a .jsonl file of records`)
  if (!['.txt', '.jsonl'].includes(extname(file).toLowerCase()))
    throw new UsageError(`${flag} ${file}: expected a .txt file, or a .jsonl file with a record on each line`)
  const stats = await stat(file).catch((error: unknown) => {
    throw new UsageError(`${flag} ${file}: ${errorMessage(error)}`, { cause: error })
  })
  if (!stats.isFile()) throw new UsageError(`${flag} ${file}: it is no file`)
  return file
}
