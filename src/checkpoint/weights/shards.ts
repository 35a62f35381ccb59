// Room weights/: safetensors files: which tensors there are, where their bytes lie, how they are read and hashed, and
// how checkpoints that were quantized before are unpacked.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, listSome } from '../files/errors.ts'
import { isFile, isJsonObject, readJsonObject } from '../files/json.ts'
import { readRows } from './read.ts'
import { readSafetensorsHeader, type TensorSlice } from './safetensors.ts'

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/** Reads the headers of a model's weight files, from a folder or from a hub. */
export interface ShardSource {
  /** The names of the model's files. */
  names(): Promise<readonly string[]>
  /** The tensors of each of the named files. A slice's `file` is the file's path in the model's folder. */
  headers(names: readonly string[]): Promise<readonly (readonly TensorSlice[])[]>
  /** Rows `start` to `end` of a tensor's first axis as stored. */
  rows(slice: TensorSlice, start: number, end: number): Promise<Uint8Array>
}

/** Whether a model needs a tensor: what nobody needs may be missing. */
export type IsNeeded = (name: string) => boolean

/**
 * Every tensor of a model, by its name as stored. The weights are one safetensors file, or several with an index, which
 * is read from the folder. Throws `CHECKPOINT_MISSING_FILE` or `CHECKPOINT_FORMAT` if there are no weights that can be
 * read, `CHECKPOINT_INDEX`, and as `readSafetensorsHeader`.
 */
export async function readTensorSlices(
  folder: string,
  source: ShardSource = folderSource(folder),
  isNeeded: IsNeeded = () => true,
): Promise<Map<string, TensorSlice>> {
  const names = await source.names()
  if (names.includes(SINGLE)) {
    const slices = (await source.headers([SINGLE])).flat()
    return new Map(slices.map((slice) => [slice.name, slice]))
  }
  if (names.includes(INDEX)) {
    const weightMap = await readWeightMap(join(folder, INDEX))
    const present = [...weightMap].filter(([name, shard]) => isNeeded(name) || names.includes(shard))
    return readShards(folder, new Map(present), source, isNeeded)
  }
  throw noWeights(folder, names)
}

/** The weight files of a folder. */
export function folderSource(folder: string): ShardSource {
  return {
    async names() {
      const names = await readdir(folder)
      const files = await Promise.all(names.map((name) => isFile(join(folder, name))))
      return names.filter((_, i) => files[i])
    },
    async headers(names) {
      const headers: TensorSlice[][] = []
      for (const name of names) headers.push(await readSafetensorsHeader(join(folder, name)))
      return headers
    },
    rows: readRows,
  }
}

async function readWeightMap(file: string): Promise<Map<string, string>> {
  const { weight_map: weightMap } = await readJsonObject(file)
  if (!isJsonObject(weightMap)) throw new CheckpointError('CHECKPOINT_INDEX', `${file} has no weight_map object`)
  const shards = new Map<string, string>()
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !isPlainName(shard)) {
      throw new CheckpointError(
        'CHECKPOINT_INDEX',
        `${file} puts tensor ${name} into ${JSON.stringify(shard)}, which is not the name of a .safetensors ` +
          'file beside it',
      )
    }
    shards.set(name, shard)
  }
  return shards
}

/** Whether a file name from an index stays within the folder. */
function isPlainName(name: string): boolean {
  return /^[^/\\\0:]+\.safetensors$/.test(name)
}

async function readShards(
  folder: string,
  weightMap: ReadonlyMap<string, string>,
  source: ShardSource,
  isNeeded: IsNeeded,
): Promise<Map<string, TensorSlice>> {
  const tensors = new Map<string, TensorSlice>()
  for (const slice of (await source.headers([...new Set(weightMap.values())].sort())).flat()) {
    const other = tensors.get(slice.name)
    if (other !== undefined && isNeeded(slice.name)) {
      throw new CheckpointError(
        'CHECKPOINT_INDEX',
        `tensor ${slice.name} is stored twice: in ${other.file} and ${slice.file}`,
      )
    }
    tensors.set(slice.name, slice)
  }
  const astray = [...weightMap].filter(
    ([name, shard]) => isNeeded(name) && tensors.get(name)?.file !== join(folder, shard),
  )
  if (astray.length > 0) {
    const names = listSome(astray.map(([name, shard]) => `${name} (in ${shard})`))
    throw new CheckpointError(
      'CHECKPOINT_INDEX',
      `${join(folder, INDEX)} lists ${astray.length} tensors that their shards do not hold: ${names}`,
    )
  }
  return tensors
}

function noWeights(folder: string, names: readonly string[]): CheckpointError {
  const pickled = names.filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name))
  if (pickled.length === 0) {
    return new CheckpointError('CHECKPOINT_MISSING_FILE', `${folder} holds neither ${SINGLE} nor ${INDEX}`)
  }
  return new CheckpointError(
    'CHECKPOINT_FORMAT',
    `${folder} holds pickled weights only (${listSome(pickled)}), which are not read because they can run code: ` +
      'convert them to safetensors, e.g. with save_pretrained of a current transformers',
  )
}
