import { createHash } from 'node:crypto'
import { UsageError } from '../base/errors.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { ModelConfig } from './config/config.ts'
import { byCodeUnits, canonicalJson } from './files/canonical-json.ts'
import { CheckpointError } from './files/errors.ts'
import { readModelRows } from './hub/download/rows.ts'
import { HEAD, modelTypeRow } from './config/model-types/index.ts'
import { bareName, findTensor, isBuffer } from './weights/names.ts'
import type { TensorSlice } from './weights/safetensors.ts'

const HEX_DIGITS = 16

/**
 * How many rows of the embedding go into a model's key: enough to tell a model from its fine-tunes; a megabyte in the
 * widest models.
 */
const EMBEDDING_ROWS = 64

/**
 * The name under which peers that hold the same model find one another: `dhtPrefix` if given, else a readable name and
 * a fingerprint. The fingerprint covers the normalised config, the tensors' names and shapes, and the bytes of the last
 * norm and the first embedding rows, which are downloaded for a model of the hub. It does not depend on the folder's
 * name, the sharding, the config's dialect or a leading `model.` of names. Throws `UsageError` for an unusable prefix,
 * else `CheckpointError`.
 */
export async function modelKey(checkpoint: Checkpoint, dhtPrefix?: string): Promise<string> {
  if (dhtPrefix !== undefined) return checkPrefix(dhtPrefix)
  const { config, tensors } = checkpoint
  const { finalNorm, embedding, head = HEAD } = modelTypeRow(config.modelType)
  const norm = required(checkpoint, finalNorm)
  const table = required(checkpoint, embedding)

  const hash = createHash('sha256')
  hash.update(canonicalJson(normalised(config)))
  hash.update(canonicalJson(shapes(tensors, config.tiedEmbeddings ? head : undefined)))
  hash.update(await readModelRows(checkpoint, norm, 0, norm.shape[0] ?? 0))
  hash.update(await readModelRows(checkpoint, table, 0, Math.min(EMBEDDING_ROWS, table.shape[0] ?? 0)))
  return `${config.modelType}-${config.numBlocks}x${config.hiddenSize}-${hash.digest('hex').slice(0, HEX_DIGITS)}`
}

function checkPrefix(prefix: string): string {
  // In record keys a dot separates the prefix from the block's number, in topics a slash from the rest.
  if (/^[^\s./]+$/.test(prefix)) return prefix
  throw new UsageError(
    `the DHT prefix ${JSON.stringify(prefix)} must not be empty or contain a dot, a slash or a space`,
  )
}

function required({ folder, tensors }: Checkpoint, name: string): TensorSlice {
  const slice = findTensor(tensors, name)
  if (slice === undefined) throw new CheckpointError('CHECKPOINT_MISSING_TENSOR', `${folder} lacks tensor ${name}`)
  return slice
}

/** The part of the config that determines what the model computes. */
function normalised(config: ModelConfig): Partial<ModelConfig> {
  const { raw: _, dtype: __, wrapper: ___, ...rest } = config
  return rest
}

function shapes(
  tensors: ReadonlyMap<string, TensorSlice>,
  unusedHead: string | undefined,
): [string, readonly number[]][] {
  return [...tensors.values()]
    .map(({ name, shape }): [string, readonly number[]] => [bareName(name), shape])
    .filter(([name]) => !isBuffer(name))
    .filter(([name]) => name !== unusedHead)
    .sort(([a], [b]) => byCodeUnits(a, b))
}
