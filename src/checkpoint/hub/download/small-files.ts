import { join } from 'node:path'
import { isFile } from '../../files/json.ts'
import type { HubClient, RemoteFile } from '../remote/client.ts'
import { checkContent, digestOf } from '../cache/content.ts'
import { HubError } from '../errors.ts'
import { forEachParallel } from './parallel.ts'
import { ProgressMeter } from './progress.ts'
import type { DownloadOptions } from './download-options.ts'
import type { StandardCache } from '../cache/standard-cache.ts'

/** Names of the files beside the weights that this program or Python's tokenizers read. */
const SMALL_FILES = [
  /^(?:config|generation_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^merges\.txt$/,
  /^tokenizer[\w.-]*\.(?:json|model)$/,
  /^chat_template[\w.-]*\.(?:jinja|json)$/,
  /^model\.safetensors\.index\.json$/,
]

/** The largest file that is held in memory as a whole; tokenizers of 250,000 tokens take about 35 MB. */
const MAX_BYTES = 100e6

const CONCURRENCY = 8

/** Where files come from, and where they go. */
export interface SmallFilesModules {
  readonly client: HubClient
  readonly cache: StandardCache
}

/** Which files to fetch, and how large each may be. */
export interface FileChoice {
  readonly wanted: (name: string) => boolean
  readonly maxBytes: number
}

const OF_MODELS: FileChoice = {
  wanted: (name) => SMALL_FILES.some((pattern) => pattern.test(name)),
  maxBytes: MAX_BYTES,
}

/**
 * Downloads files of a commit into the standard cache and verifies them by the hub's checksums; by default all the
 * small files of a model.
 */
export async function fetchSmallFiles(
  { client, cache }: SmallFilesModules,
  model: { repo: string; commit: string; files: readonly string[] },
  options: DownloadOptions,
  { wanted, maxBytes }: FileChoice = OF_MODELS,
): Promise<void> {
  const { repo, commit } = model
  const missing: string[] = []
  for (const name of model.files.filter(wanted)) {
    if (!(await isFile(join(cache.snapshot(commit), name)))) missing.push(name)
  }
  const files: RemoteFile[] = []
  await forEachParallel(missing, CONCURRENCY, options.signal, async (name, signal) => {
    const file = await client.describe(repo, commit, name, signal)
    if (file.bytes > maxBytes) {
      throw new HubError('HUB_ANSWER', `${name} of ${repo} has ${file.bytes} bytes, more than the ${maxBytes} allowed`)
    }
    files.push(file)
  })
  const meter = new ProgressMeter(
    files.reduce((sum, { bytes }) => sum + bytes, 0),
    options.onProgress,
  )
  await forEachParallel(files, CONCURRENCY, options.signal, async (file, signal) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of client.stream(file, 0, file.bytes, signal)) {
      chunks.push(chunk)
      meter.downloaded(file.name, chunk.length)
    }
    const content = Buffer.concat(chunks)
    checkContent(file, digestOf(content))
    await cache.store(commit, file.name, file.etag, content)
  })
}
