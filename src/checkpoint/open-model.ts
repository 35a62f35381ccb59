import { join } from 'node:path'
import { type Checkpoint, openCheckpoint } from './checkpoint.ts'
import { isFile } from './files/json.ts'
import { GGUF_CURE, isGguf } from './files/gguf.ts'
import { HubClient } from './hub/remote/client.ts'
import { readCommitRecord } from './hub/cache/commit-record.ts'
import { folderError, HubError } from './hub/errors.ts'
import { HubShards, type PinnedModel } from './hub/download/hub-shards.ts'
import type { DownloadOptions } from './hub/download/download-options.ts'
import { type HubSettings, hubSettings } from './hub/settings.ts'
import { fetchSmallFiles } from './hub/download/small-files.ts'
import { isCommit, type ModelSource, parseModelSource } from './hub/source.ts'
import { StandardCache } from './hub/cache/standard-cache.ts'

/** How a model is opened. */
export interface OpenModelOptions extends DownloadOptions {
  /** Where the hub and the caches are. Default: what the environment's variables say. */
  readonly settings?: HubSettings | undefined
}

/** How long the hub is asked whether there is a newer commit of a model that is here. */
const KNOWN_MODEL_PATIENCE_MS = 1000

type HubModel = Extract<ModelSource, { kind: 'hub' }>

/**
 * Opens a model in a folder or on the hub. Of a hub's model, the small files are downloaded into the standard cache and
 * only the headers of its weights are read; `fetchTensors` downloads tensors. A text `source` is read by
 * `parseModelSource`. Throws `UsageError`, `CheckpointError`, `HubError` or the signal's reason.
 */
export async function openModel(source: ModelSource | string, options: OpenModelOptions = {}): Promise<Checkpoint> {
  const parsed = typeof source === 'string' ? parseModelSource(source) : source
  if (parsed.kind === 'folder') return openCheckpoint(parsed.folder)
  const settings = options.settings ?? hubSettings(process.env)
  try {
    return await openFromHub(parsed, settings, options)
  } catch (error) {
    throw folderError(error, settings.cacheFolder)
  }
}

async function openFromHub(
  { repo, revision }: HubModel,
  settings: HubSettings,
  options: OpenModelOptions,
): Promise<Checkpoint> {
  const client = new HubClient(settings, options.onTrouble)
  const cache = new StandardCache(settings.cacheFolder, repo)
  const model = await pinCommit(client, cache, { repo, revision }, options)
  const { commit, files } = model
  if (files !== undefined) {
    if (!files.includes('config.json')) {
      throw new HubError(
        'HUB_FILE_NOT_FOUND',
        `${repo} has no config.json at revision ${revision}: ` +
          (files.some(isGguf) ? GGUF_CURE : 'it is no model of transformers'),
      )
    }
    await fetchSmallFiles({ client, cache }, { repo, commit, files }, options)
    if (!isCommit(revision)) await cache.writeRef(revision, commit)
  }
  const shards = new HubShards(client, cache, model, options)
  const checkpoint = await openCheckpoint(cache.snapshot(commit), shards)
  await shards.save()
  return { ...checkpoint, remote: { settings, repo, revision, commit, files: shards.remoteFiles, leases: [] } }
}

/**
 * The commit that a branch or tag is at now or, if the hub may not or cannot be asked, was at when it was last asked.
 */
async function pinCommit(
  client: HubClient,
  cache: StandardCache,
  { repo, revision }: { repo: string; revision: string },
  { signal, onTrouble }: OpenModelOptions,
): Promise<PinnedModel> {
  const { settings } = client
  const known = isCommit(revision) ? revision : await cache.readRef(revision)
  const usable = known !== undefined && (await isFile(join(cache.snapshot(known), 'config.json')))
  const recorded = usable && (await readCommitRecord(settings.partsFolder, repo, known)) !== undefined
  if (recorded && isCommit(revision)) return { repo, commit: revision, files: undefined }
  if (settings.offline && usable) return { repo, commit: known, files: undefined }
  if (!recorded) return { repo, ...(await client.revision(repo, revision, signal)) }
  const patience = AbortSignal.timeout(KNOWN_MODEL_PATIENCE_MS)
  try {
    const ended = signal === undefined ? patience : AbortSignal.any([signal, patience])
    return { repo, ...(await client.revision(repo, revision, ended)) }
  } catch (error) {
    signal?.throwIfAborted()
    if (!patience.aborted && !(error instanceof HubError && error.retryable)) throw error
    onTrouble?.(
      `${settings.endpoint} does not answer: ${repo} is opened as it was here last, commit ${known.slice(0, 12)}`,
    )
    return { repo, commit: known, files: undefined }
  }
}
