import { createHash } from 'node:crypto'
import { UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../checkpoint.ts'
import type { ModelConfig } from '../config/config.ts'
import { CheckpointError } from '../errors.ts'
import { readModelRows } from '../hub/download/rows.ts'
import { HEAD, modelTypeRow } from '../config/model-types/index.ts'
import { chunkBuffer, readChunks } from './read.ts'
import { bareName, findTensor, isBuffer } from './names.ts'
import type { TensorSlice } from './safetensors.ts'

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

/** At a time: more is not hashed faster, and it would add to what loading takes beside it. */
const HASHED_BYTES = 1 << 20

/**
 * A digest of each block's weights as stored: 16 hex digits of a sha256 over each tensor's name within the block,
 * dtype, shape and bytes, in the order of these names. `blocks` holds the tensors of each block. Reads all bytes,
 * synchronously: for worker threads.
 */
export function blockDigests(blocks: readonly (readonly TensorSlice[])[]): string[] {
  const buffer = chunkBuffer(HASHED_BYTES)
  return blocks.map((slices) => {
    const hash = createHash('sha256')
    const named = slices.map((slice) => ({ slice, name: nameInBlock(slice.name) }))
    for (const { slice, name } of named.sort((a, b) => compare(a.name, b.name))) {
      hash.update(canonicalJson([name, slice.dtype, slice.shape]))
      readChunks(slice, (chunk) => hash.update(chunk), buffer)
    }
    return hash.digest('hex').slice(0, HEX_DIGITS)
  })
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
    .sort(([a], [b]) => compare(a, b))
}

/** `model.layers.3.mlp.up_proj.weight` is `mlp.up_proj.weight` within its block. */
function nameInBlock(name: string): string {
  return name.replace(/^.*?\b\d+\./, '')
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** JSON with the keys of every object sorted. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => compare(a, b)))
  })
}
