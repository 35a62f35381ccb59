import { copyFile, link, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { HubError } from '../errors.ts'
import { temporaryName, writeByRename } from '../../files/write-by-rename.ts'
import { repoFolderName } from './repo-folder.ts'
import { isCommit } from '../source.ts'

/**
 * One model's folder in the cache that Python's huggingface_hub uses as well: `blobs/ETAG` hold file contents,
 * `snapshots/COMMIT/NAME` are relative links to them, `refs/REVISION` hold the commit that a branch or tag was at.
 */
export class StandardCache {
  readonly folder: string

  constructor(cacheFolder: string, repo: string) {
    this.folder = join(cacheFolder, repoFolderName(repo))
  }

  /** The folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit)
  }

  /** The commit that a branch or tag was at when the hub was last asked; undefined if it never was. */
  async readRef(revision: string): Promise<string | undefined> {
    const text = await readFile(join(this.folder, 'refs', ...revision.split('/')), 'utf8').catch(() => '')
    return isCommit(text.trim()) ? text.trim() : undefined
  }

  /** Notes the commit that a branch or tag is at. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if ((await this.readRef(revision)) === commit) return
    await writeByRename(join(this.folder, 'refs', ...revision.split('/')), commit)
  }

  /** The size of a file that is completely in the cache; undefined otherwise. */
  async bytesOf(commit: string, name: string): Promise<number | undefined> {
    const stats = await stat(join(this.snapshot(commit), name)).catch(() => undefined)
    return stats?.isFile() === true ? stats.size : undefined
  }

  /** Writes a file's whole content into the cache. */
  async store(commit: string, name: string, etag: string, content: Uint8Array): Promise<void> {
    await writeByRename(this.#blob(etag), content)
    await this.#point(commit, name, etag)
  }

  /** Moves a completely downloaded file into the cache. */
  async adopt(commit: string, name: string, etag: string, file: string): Promise<void> {
    const blob = this.#blob(etag)
    await mkdir(dirname(blob), { recursive: true })
    await rename(file, blob).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error
      await copyThenRename(file, blob)
      await rm(file)
    })
    await this.#point(commit, name, etag)
  }

  #blob(etag: string): string {
    if (/^[\w-][\w.-]{0,127}$/.test(etag)) return join(this.folder, 'blobs', etag)
    throw new HubError(
      'HUB_ANSWER',
      `the etag ${JSON.stringify(etag.slice(0, 80))} cannot name a file: check HF_ENDPOINT`,
    )
  }

  /** Makes the snapshot's link to a blob. Where symbolic links need a privilege, as on Windows, a hard link. */
  async #point(commit: string, name: string, etag: string): Promise<void> {
    const pointer = join(this.snapshot(commit), name)
    const blob = this.#blob(etag)
    await mkdir(dirname(pointer), { recursive: true })
    const temporary = temporaryName(pointer)
    await symlink(relative(dirname(pointer), blob), temporary).catch((error: NodeJS.ErrnoException) =>
      error.code === 'EPERM' ? link(blob, temporary) : Promise.reject(error),
    )
    await rename(temporary, pointer)
  }
}

async function copyThenRename(from: string, to: string): Promise<void> {
  const temporary = temporaryName(to)
  try {
    await copyFile(from, temporary)
    await rename(temporary, to)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
