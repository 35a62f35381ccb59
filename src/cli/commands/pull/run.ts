import { UsageError } from '../../../base/errors.ts'
import { sizeText } from '../../../base/size.ts'
import type { Checkpoint } from '../../../checkpoint/checkpoint.ts'
import { downloadSize, fetchTensors, releaseTensors } from '../../../checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../checkpoint/open-model.ts'
import { endsTensorNames, spanTensorNames } from '../../../engine/loading/tensor-names.ts'
import type { CommandContext } from '../command.ts'
import { createLogger } from '../../terminal/logger.ts'
import { ProgressView } from '../../terminal/progress.ts'
import { type Span, spanText } from '../../../base/span.ts'
import { parseSpan } from '../../values/span.ts'
import type { PullValues } from './options.ts'

/** Downloads tensors of a model of the hub, and tells what is here then. Throws as `openModel` and `fetchTensors`. */
export async function runPull(
  values: PullValues,
  { shutdown: { signal } }: CommandContext,
  argument: string | undefined,
): Promise<void> {
  const name = argument ?? values.model
  if (name === undefined) throw new UsageError('which model? Give its name on the hub, like org/name')
  const logger = await createLogger(values.logLevel)
  const progress = new ProgressView(logger)
  const download = {
    signal,
    maxDiskSpaceBytes: values.maxDiskSpace,
    onProgress: progress.download(),
    onTrouble: (trouble: string) => logger.warn(trouble),
  }
  try {
    const checkpoint = await openModel(name, download)
    const { remote, config } = checkpoint
    if (remote === undefined) throw new UsageError(`${name} is a folder: there is nothing to download`)
    const span = values.blocks === undefined ? undefined : parseSpan(values.blocks, config.numBlocks)
    const names = namesOf(checkpoint, span, values.client)
    const { totalBytes, missingBytes } = await downloadSize(checkpoint, names)
    await releaseTensors(await fetchTensors(checkpoint, names, download))
    const { repo, revision, commit } = remote
    const blocks = span ?? (values.client ? undefined : ([0, config.numBlocks] as const))
    const result = {
      repo,
      revision,
      commit,
      blocks: blocks === undefined ? null : spanText(blocks),
      client: span === undefined || values.client,
      bytes: totalBytes,
      downloadedBytes: missingBytes,
    }
    process.stdout.write(`${values.json ? JSON.stringify(result) : describe(result)}\n`)
  } finally {
    progress.stop()
  }
}

/** The tensors of the blocks and of a client that were asked for; of both if nothing was. */
function namesOf(checkpoint: Checkpoint, span: Span | undefined, client: boolean): string[] {
  const isAll = span === undefined && !client
  const [start, end] = span ?? (isAll ? [0, checkpoint.config.numBlocks] : [0, 0])
  return [
    ...(start < end ? spanTensorNames(checkpoint, start, end) : []),
    ...(client || isAll ? endsTensorNames(checkpoint) : []),
  ]
}

interface Pulled {
  readonly repo: string
  readonly revision: string
  readonly commit: string
  readonly blocks: string | null
  readonly client: boolean
  readonly bytes: number
  readonly downloadedBytes: number
}

function describe({ repo, revision, commit, blocks, client, bytes, downloadedBytes }: Pulled): string {
  const what = [...(blocks === null ? [] : [`blocks ${blocks}`]), ...(client ? ['embedding and head'] : [])]
  const news = downloadedBytes === 0 ? 'all of it was here' : `${sizeText(downloadedBytes)} of it downloaded now`
  return `${repo}@${revision}, commit ${commit.slice(0, 12)}: ${what.join(', ')}; ${sizeText(bytes)}, ${news}`
}
