import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A name beside `file` that no other process uses, formed as huggingface_hub does. */
export function temporaryName(file: string): string {
  return `${file}.${randomBytes(4).toString('hex')}.incomplete`
}

/**
 * Writes a file atomically: other processes see either the old content or the new one. Creates the folder. Several
 * pieces of content follow one another.
 */
export async function writeByRename(file: string, content: string | Uint8Array | Iterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const temporary = temporaryName(file)
  try {
    await writeFile(temporary, content)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
