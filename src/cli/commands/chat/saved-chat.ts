import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { existsSync } from 'node:fs'
import { UsageError, errorMessage } from '../../../base/errors.ts'
import type { ChatMessage } from '../../../client/chat/messages.ts'
import { readMessages } from '../../values/messages.ts'

/** Files of conversations, each a JSON array of messages, as `petals-node tokenize --chat` takes them. */
export class SavedChats {
  /** Files that this chat has read or written, which it may write again. */
  readonly #own = new Set<string>()

  /** Writes a conversation, whole or not at all. Throws `USAGE` if the file cannot be written, or is another's. */
  async save(name: string, messages: readonly ChatMessage[]): Promise<void> {
    const file = expandHome(name)
    if (!this.#own.has(file) && existsSync(file))
      throw new UsageError(`/save ${name}: the file exists already, and this chat has neither saved nor loaded it`)
    const part = `${file}.${process.pid}.part`
    try {
      await writeFile(part, `${JSON.stringify(messages, undefined, 2)}\n`, { mode: 0o600 })
      await rename(part, file)
    } catch (error) {
      await rm(part, { force: true })
      throw new UsageError(`/save ${name}: ${reasonOf(error, 'there is no such folder')}`, { cause: error })
    }
    this.#own.add(file)
  }

  /** Reads a conversation. Throws `USAGE` if the file cannot be read or holds none. */
  async load(name: string): Promise<ChatMessage[]> {
    const file = expandHome(name)
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw new UsageError(`/load ${name}: ${reasonOf(error, 'there is no such file')}`, { cause: error })
    })
    const messages = readMessages(text, `/load ${name}`)
    this.#own.add(file)
    return messages
  }
}

/** Why a file could not be read or written, in words where the system's own would name our temporary file. */
function reasonOf(error: unknown, missing: string): string {
  const reasons: Readonly<Record<string, string>> = {
    EACCES: 'this user may not',
    EISDIR: 'it is a folder',
    ENOENT: missing,
    ENOSPC: 'the disk is full',
    ENOTDIR: missing,
    EROFS: 'nothing can be written there',
  }
  return reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? errorMessage(error)
}

function expandHome(file: string): string {
  return file.replace(/^~(?=\/|$)/, homedir())
}
