// Room cache/: what is on this disk: parts of files (ours), whole files (the cache of Python's huggingface_hub), locks,
// leases and the bound on the space that they take.

import { createHash } from 'node:crypto'
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../../files/json.ts'
import type { RemoteFile } from '../remote/client.ts'
import { writeByRename } from '../../files/write-by-rename.ts'
import { repoFolderName } from './repo-folder.ts'
import { type ByteRange, contains, parseRangeKey, rangeBytes, rangeKey } from '../remote/ranges.ts'

const MANIFEST = 'manifest.json'

/** A part in the manifest: its checksum, and when it was last used (milliseconds since 1970). */
interface Entry {
  readonly sha256: string
  readonly usedAt: number
}

/** The folder of a file's parts. The etag is in its name: a new version of the file gets a new folder. */
export function partFolderOf(partsFolder: string, { repo, etag }: Pick<RemoteFile, 'repo' | 'etag'>): string {
  const isHash = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)
  const safe = isHash ? etag : `etag-${createHash('sha256').update(etag).digest('hex').slice(0, 40)}`
  return join(partsFolder, repoFolderName(repo), safe)
}

/**
 * The parts of one hub file that are on this disk. Each part is a file named `START-END` after its byte range; a
 * manifest holds their checksums. A part that is still being downloaded is `START-END.incomplete`; its size is the
 * number of bytes that have arrived. Whoever changes anything must hold the folder's lock.
 */
export class PartFolder {
  readonly folder: string
  readonly #entries: Map<string, Entry>
  #saving: Promise<void> = Promise.resolve()

  /** Reads the manifest of a folder, which need not exist. */
  static async open(folder: string): Promise<PartFolder> {
    const text = await readFile(join(folder, MANIFEST), 'utf8').catch(() => '{}')
    return new PartFolder(folder, parseManifest(text))
  }

  private constructor(folder: string, entries: Map<string, Entry>) {
    this.folder = folder
    this.#entries = entries
  }

  /** The ranges of all complete parts in the manifest. */
  get ranges(): ByteRange[] {
    return [...this.#entries.keys()].map(parseRangeKey).filter((range) => range !== undefined)
  }

  /** The file of a complete part. */
  path(range: ByteRange): string {
    return join(this.folder, rangeKey(range))
  }

  /** The file of a part that is still being downloaded. */
  partialPath(range: ByteRange): string {
    return `${this.path(range)}.incomplete`
  }

  /** The smallest complete part that contains a range; undefined if there is none. */
  async find(range: ByteRange): Promise<ByteRange | undefined> {
    const holders = this.ranges.filter((part) => contains(part, range)).sort((a, b) => rangeBytes(a) - rangeBytes(b))
    for (const part of holders) if ((await fileBytes(this.path(part))) === rangeBytes(part)) return part
    return undefined
  }

  /** A part's checksum. */
  sha256(range: ByteRange): string | undefined {
    return this.#entries.get(rangeKey(range))?.sha256
  }

  /** When a part was last used, in milliseconds since 1970. */
  usedAt(range: ByteRange): number | undefined {
    return this.#entries.get(rangeKey(range))?.usedAt
  }

  /** How many bytes of an incomplete part have arrived. */
  async partialBytes(range: ByteRange): Promise<number> {
    const bytes = await fileBytes(this.partialPath(range))
    return bytes !== undefined && bytes <= rangeBytes(range) ? bytes : 0
  }

  /**
   * Prepares an incomplete part to be continued: returns how many bytes have arrived, and deletes a file that cannot be
   * continued.
   */
  async resumePartial(range: ByteRange): Promise<number> {
    const bytes = await this.partialBytes(range)
    if (bytes > 0) return bytes
    await rm(this.partialPath(range), { force: true, recursive: true })
    return 0
  }

  /** Turns a fully downloaded partial file into a part. */
  async complete(range: ByteRange, sha256: string): Promise<void> {
    this.#entries.set(rangeKey(range), { sha256, usedAt: Date.now() })
    await this.#save()
    await rename(this.partialPath(range), this.path(range))
  }

  /** Marks parts as used now. */
  async touch(ranges: readonly ByteRange[]): Promise<void> {
    for (const key of new Set(ranges.map(rangeKey))) {
      const entry = this.#entries.get(key)
      if (entry !== undefined) this.#entries.set(key, { ...entry, usedAt: Date.now() })
    }
    await this.#save()
  }

  /** Deletes a part, complete or not. */
  async remove(range: ByteRange): Promise<void> {
    await rm(this.path(range), { force: true })
    await rm(this.partialPath(range), { force: true })
    if (this.#entries.delete(rangeKey(range))) await this.#save()
  }

  async #save(): Promise<void> {
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(async () => {
        await mkdir(this.folder, { recursive: true })
        await writeByRename(join(this.folder, MANIFEST), JSON.stringify({ ranges: Object.fromEntries(this.#entries) }))
      })
    await this.#saving
  }
}

/** The size of a regular file; undefined if there is none. */
async function fileBytes(file: string): Promise<number | undefined> {
  const stats = await lstat(file).catch(() => undefined)
  return stats?.isFile() === true ? stats.size : undefined
}

/** Parses a manifest. One that cannot be read counts as empty: its parts are downloaded again. */
function parseManifest(text: string): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  try {
    const json: unknown = JSON.parse(text)
    const ranges = isJsonObject(json) && isJsonObject(json['ranges']) ? json['ranges'] : {}
    for (const [key, entry] of Object.entries(ranges)) {
      if (parseRangeKey(key) === undefined || !isJsonObject(entry)) continue
      const { sha256, usedAt } = entry
      if (typeof sha256 === 'string' && typeof usedAt === 'number') entries.set(key, { sha256, usedAt })
    }
  } catch {
    return new Map()
  }
  return entries
}
