import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, listSome } from './errors.ts'
import { isFile, isJsonObject, readJsonObject } from './json.ts'
import { readSafetensorsHeader, type TensorSlice } from './safetensors.ts'

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/** Every tensor of a folder with one safetensors file or an index of shards, by its name as stored. */
export async function readTensorSlices(folder: string): Promise<Map<string, TensorSlice>> {
  if (await isFile(join(folder, SINGLE))) {
    const slices = await readSafetensorsHeader(join(folder, SINGLE))
    return new Map(slices.map((slice) => [slice.name, slice]))
  }
  if (await isFile(join(folder, INDEX))) return readShards(folder, await readWeightMap(join(folder, INDEX)))
  throw await noWeights(folder)
}

async function readWeightMap(file: string): Promise<Map<string, string>> {
  const { weight_map: weightMap } = await readJsonObject(file)
  if (!isJsonObject(weightMap)) throw new CheckpointError('CHECKPOINT_INDEX', `${file} has no weight_map object`)
  const shards = new Map<string, string>()
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !isPlainName(shard)) {
      throw new CheckpointError('CHECKPOINT_INDEX',
        `${file} puts tensor ${name} into ${JSON.stringify(shard)}, which is not the name of a .safetensors file beside it`)
    }
    shards.set(name, shard)
  }
  return shards
}

/** A name from a file is never a way out of the folder. */
function isPlainName(name: string): boolean {
  return /^[^/\\\0:]+\.safetensors$/.test(name)
}

async function readShards(folder: string, weightMap: ReadonlyMap<string, string>): Promise<Map<string, TensorSlice>> {
  const tensors = new Map<string, TensorSlice>()
  for (const shard of [...new Set(weightMap.values())].sort()) {
    for (const slice of await readSafetensorsHeader(join(folder, shard))) {
      const other = tensors.get(slice.name)
      if (other !== undefined) {
        throw new CheckpointError('CHECKPOINT_INDEX', `tensor ${slice.name} is stored twice: in ${other.file} and ${slice.file}`)
      }
      tensors.set(slice.name, slice)
    }
  }
  const astray = [...weightMap].filter(([name, shard]) => tensors.get(name)?.file !== join(folder, shard))
  if (astray.length > 0) {
    const names = listSome(astray.map(([name, shard]) => `${name} (in ${shard})`))
    throw new CheckpointError('CHECKPOINT_INDEX',
      `${join(folder, INDEX)} lists ${astray.length} tensors that their shards do not hold: ${names}`)
  }
  return tensors
}

async function noWeights(folder: string): Promise<CheckpointError> {
  const pickled = (await readdir(folder)).filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name))
  if (pickled.length === 0) {
    return new CheckpointError('CHECKPOINT_MISSING_FILE', `${folder} holds neither ${SINGLE} nor ${INDEX}`)
  }
  return new CheckpointError('CHECKPOINT_FORMAT',
    `${folder} holds pickled weights only (${listSome(pickled)}), which are not read because they can run code: ` +
    'convert them to safetensors, e.g. with save_pretrained of a current transformers')
}
