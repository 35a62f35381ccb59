// Room cache/: what is on this disk: parts of files (ours), whole files (the cache of Python's huggingface_hub), locks,
// leases and the bound on the space that they take.

import { createHash } from 'node:crypto'
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../../config/json.ts'
import type { RemoteFile } from '../remote/client.ts'
import { repoFolderName, writeByRename } from './files.ts'
import { type ByteRange, contains, parseRangeKey, rangeBytes, rangeKey } from '../remote/ranges.ts'

const MANIFEST = 'manifest.json'

interface Entry {
  readonly sha256: string
  readonly usedAt: number
}

/** The folder of a file's parts: a new version of the file has another etag, and so another folder. */
export function partFolderOf(partsFolder: string, { repo, etag }: Pick<RemoteFile, 'repo' | 'etag'>): string {
  const isHash = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)
  const safe = isHash ? etag : `etag-${createHash('sha256').update(etag).digest('hex').slice(0, 40)}`
  return join(partsFolder, repoFolderName(repo), safe)
}

/**
 * The parts of one file of the hub that are here, each a file of its own named `START-END`, beside a manifest with
 * their checksums. A part that is not complete is `START-END.incomplete`, whose size says how much of it is there. Who
 * changes anything holds the folder's lock.
 */
export class PartFolder {
  readonly folder: string
  readonly #entries: Map<string, Entry>
  #saving: Promise<void> = Promise.resolve()

  static async open(folder: string): Promise<PartFolder> {
    const text = await readFile(join(folder, MANIFEST), 'utf8').catch(() => '{}')
    return new PartFolder(folder, parseManifest(text))
  }

  private constructor(folder: string, entries: Map<string, Entry>) {
    this.folder = folder
    this.#entries = entries
  }

  get ranges(): ByteRange[] {
    return [...this.#entries.keys()].map(parseRangeKey).filter((range) => range !== undefined)
  }

  path(range: ByteRange): string {
    return join(this.folder, rangeKey(range))
  }

  partialPath(range: ByteRange): string {
    return `${this.path(range)}.incomplete`
  }

  /** The smallest part that holds a range and whose file has its full size. */
  async find(range: ByteRange): Promise<ByteRange | undefined> {
    const holders = this.ranges.filter((part) => contains(part, range)).sort((a, b) => rangeBytes(a) - rangeBytes(b))
    for (const part of holders) if ((await fileBytes(this.path(part))) === rangeBytes(part)) return part
    return undefined
  }

  sha256(range: ByteRange): string | undefined {
    return this.#entries.get(rangeKey(range))?.sha256
  }

  usedAt(range: ByteRange): number | undefined {
    return this.#entries.get(rangeKey(range))?.usedAt
  }

  /** How many of a part's first bytes are there. */
  async peekPartialBytes(range: ByteRange): Promise<number> {
    const bytes = await fileBytes(this.partialPath(range))
    return bytes !== undefined && bytes <= rangeBytes(range) ? bytes : 0
  }

  /** The same; what cannot be part of it is thrown away. */
  async partialBytes(range: ByteRange): Promise<number> {
    const bytes = await this.peekPartialBytes(range)
    if (bytes > 0) return bytes
    await rm(this.partialPath(range), { force: true, recursive: true })
    return 0
  }

  /** Makes a complete partial file a part. */
  async complete(range: ByteRange, sha256: string): Promise<void> {
    this.#entries.set(rangeKey(range), { sha256, usedAt: Date.now() })
    await this.#save()
    await rename(this.partialPath(range), this.path(range))
  }

  async touch(ranges: readonly ByteRange[]): Promise<void> {
    for (const key of new Set(ranges.map(rangeKey))) {
      const entry = this.#entries.get(key)
      if (entry !== undefined) this.#entries.set(key, { ...entry, usedAt: Date.now() })
    }
    await this.#save()
  }

  /** Throws a part away, complete or not. */
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

async function fileBytes(file: string): Promise<number | undefined> {
  const stats = await lstat(file).catch(() => undefined)
  return stats?.isFile() === true ? stats.size : undefined
}

/** A manifest that cannot be read is an empty one: its parts are fetched again. */
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
