import { type Adapter, ADAPTER_FILES, openAdapter } from './adapter/adapter.ts'
import { HubClient } from './hub/remote/client.ts'
import { folderError, HubError } from './hub/errors.ts'
import type { OpenModelOptions } from './open-model.ts'
import { hubSettings } from './hub/settings.ts'
import { fetchSmallFiles } from './hub/download/small-files.ts'
import { isCommit, parseModelSource } from './hub/source.ts'
import { StandardCache } from './hub/cache/standard-cache.ts'

/**
 * Opens an adapter: a folder, or `org/name[@revision]` on the hub, whose two files are then downloaded into the
 * standard cache. Throws as `openAdapter`, `UsageError`, `HubError` or the signal's reason.
 */
export async function openAdapterFrom(text: string, options: OpenModelOptions = {}): Promise<Adapter> {
  const source = parseModelSource(text)
  if (source.kind === 'folder') return openAdapter(source.folder)
  const { repo, revision } = source
  const settings = options.settings ?? hubSettings(process.env)
  const cache = new StandardCache(settings.cacheFolder, repo)
  try {
    const commit = settings.offline ? (isCommit(revision) ? revision : await cache.readRef(revision)) : undefined
    if (commit !== undefined) return { ...(await openAdapter(cache.snapshot(commit))), name: repo }
    const client = new HubClient(settings, options.onTrouble)
    const found = await client.revision(repo, revision, options.signal)
    const missing = ADAPTER_FILES.filter((file) => !found.files.includes(file))
    if (missing.length > 0)
      throw new HubError(
        'HUB_FILE_NOT_FOUND',
        `${repo} has no ${missing.join(' and no ')} at revision ${revision}: it is no adapter of PEFT`,
      )
    await fetchSmallFiles({ client, cache }, { repo, ...found }, options, {
      wanted: (name) => ADAPTER_FILES.includes(name),
      maxBytes: MAX_BYTES,
    })
    if (!isCommit(revision)) await cache.writeRef(revision, found.commit)
    return { ...(await openAdapter(cache.snapshot(found.commit))), name: repo }
  } catch (error) {
    throw folderError(error, settings.cacheFolder)
  }
}

/** The largest adapter file: it is held in memory as a whole. */
const MAX_BYTES = 2e9
