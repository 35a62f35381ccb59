import { open } from 'node:fs/promises'
import { join } from 'node:path'
import {
  HEADER_LENGTH_BYTES,
  headerByteLength,
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type TensorSlice,
} from '../../weights/safetensors.ts'
import type { ShardSource } from '../../weights/shards.ts'
import type { HubClient, RemoteFile } from '../remote/client.ts'
import { type CommitRecord, readCommitRecord, writeCommitRecord } from '../cache/commit-record.ts'
import { downloadParts, type Located } from './download.ts'
import { readRows } from '../../weights/read.ts'
import { readRemoteRows } from './remote-rows.ts'
import { forEachParallel } from './parallel.ts'
import type { ByteRange } from '../remote/ranges.ts'
import type { DownloadOptions } from './download-options.ts'
import type { StandardCache } from '../cache/standard-cache.ts'

/**
 * Bytes of a file that are requested first. A header takes about 100 bytes per tensor, so for most shards this is all
 * of it.
 */
const FIRST_READ_BYTES = 32 << 10

const CONCURRENCY = 8

/** A commit of a model, and the names of its files if the hub was asked for them. */
export interface PinnedModel {
  readonly repo: string
  readonly commit: string
  readonly files: readonly string[] | undefined
}

/**
 * Reads the headers of the weight files of one commit: from the standard cache if a file is there, else by downloading
 * the file's first bytes.
 */
export class HubShards implements ShardSource {
  /** Files that are not completely in the standard cache, by the path that they would have there. */
  readonly remoteFiles = new Map<string, RemoteFile>()
  readonly #client: HubClient
  readonly #cache: StandardCache
  readonly #model: PinnedModel
  readonly #options: DownloadOptions
  #record: CommitRecord | undefined

  constructor(client: HubClient, cache: StandardCache, model: PinnedModel, options: DownloadOptions) {
    this.#client = client
    this.#cache = cache
    this.#model = model
    this.#options = options
  }

  async names(): Promise<readonly string[]> {
    const { commit, files } = this.#model
    if (files !== undefined) return files
    const known = [...(await this.#known()).keys(), 'model.safetensors', 'model.safetensors.index.json']
    const here = await Promise.all(known.map((name) => this.#cache.bytesOf(commit, name)))
    return known.filter((name, i) => here[i] !== undefined || this.#record?.has(name) === true)
  }

  async headers(names: readonly string[]): Promise<TensorSlice[][]> {
    const { repo, commit } = this.#model
    const known = await this.#known()
    const files = new Map<string, RemoteFile>()
    await forEachParallel(names, CONCURRENCY, this.#options.signal, async (name, signal) => {
      const here = await this.#cache.bytesOf(commit, name)
      const said = known.get(name)
      if (here !== undefined && (said === undefined || said.bytes === here)) return
      files.set(
        name,
        said === undefined ? await this.#client.describe(repo, commit, name, signal) : { repo, commit, name, ...said },
      )
    })
    const headers = await this.#remoteHeaders([...files.values()])
    return Promise.all(
      names.map((name) => {
        const file = files.get(name)
        const path = this.#path(name)
        if (file === undefined) return readSafetensorsHeader(path)
        this.remoteFiles.set(path, file)
        return parseSafetensorsHeader(headers.get(file)!, path, file.bytes)
      }),
    )
  }

  async rows(slice: TensorSlice, start: number, end: number): Promise<Uint8Array> {
    const file = this.remoteFiles.get(slice.file)
    return file === undefined
      ? readRows(slice, start, end)
      : readRemoteRows(this.#client, file, slice, { start, end, signal: this.#options.signal })
  }

  /** Stores sizes and etags of the files for the next start. */
  async save(): Promise<void> {
    const record = new Map(await this.#known())
    for (const { name, etag, bytes } of this.remoteFiles.values()) record.set(name, { etag, bytes })
    const { repo, commit } = this.#model
    if (this.#record === undefined || record.size > this.#record.size) {
      await writeCommitRecord(this.#client.settings.partsFolder, repo, commit, record)
    }
  }

  async #known(): Promise<CommitRecord> {
    this.#record ??= await readCommitRecord(this.#client.settings.partsFolder, this.#model.repo, this.#model.commit)
    return this.#record ?? new Map()
  }

  /** The headers of files on the hub, without the length in front of each. */
  async #remoteHeaders(files: readonly RemoteFile[]): Promise<Map<RemoteFile, Uint8Array>> {
    const first = await this.#read(
      files.map((file) => ({ file, range: { start: 0, end: Math.min(FIRST_READ_BYTES, file.bytes) } })),
    )
    const ends = new Map(
      files.map((file) => {
        const length = headerByteLength(first.get(file) ?? new Uint8Array(), this.#path(file.name), file.bytes)
        return [file, HEADER_LENGTH_BYTES + length]
      }),
    )
    const longer = files.filter((file) => ends.get(file)! > FIRST_READ_BYTES)
    const rest = await this.#read(
      longer.map((file) => ({ file, range: { start: FIRST_READ_BYTES, end: ends.get(file)! } })),
    )
    return new Map(
      files.map((file) => {
        const bytes = Buffer.concat([first.get(file)!, rest.get(file) ?? new Uint8Array()])
        return [file, bytes.subarray(HEADER_LENGTH_BYTES, ends.get(file))]
      }),
    )
  }

  async #read(wanted: readonly { file: RemoteFile; range: ByteRange }[]): Promise<Map<RemoteFile, Uint8Array>> {
    const present = wanted.filter(({ range }) => range.end > range.start)
    const ranges = present.map(({ file, range }) => ({ file, ranges: [range] }))
    const located = await downloadParts(this.#client, ranges, { signal: this.#options.signal })
    const contents = await Promise.all(
      present.map(
        async ({ file, range }) => [file, await readLocated(located.get(file)![0]!, range.end - range.start)] as const,
      ),
    )
    return new Map(contents)
  }

  #path(name: string): string {
    return join(this.#cache.snapshot(this.#model.commit), name)
  }
}

async function readLocated({ file, offset }: Located, length: number): Promise<Uint8Array> {
  const handle = await open(file, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
