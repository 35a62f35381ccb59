// Floor checkpoint/: a model's files as Hugging Face stores them. Rooms: config/ (what kind of model), weights/ (where
// each tensor lies, and its bytes), adapter/ (LoRA), tokenizer/ (text to ids), hub/ (models that are not here yet).

import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isFloatDType, type ModelConfig, namesDType, parseConfig } from './config/config.ts'
import { CheckpointError } from './errors.ts'
import { type GenerationDefaults, parseGeneration } from './config/generation.ts'
import type { RemoteModel } from './hub/remote/remote.ts'
import { isFile, readJsonObject } from './config/json.ts'
import type { TensorSlice } from './weights/safetensors.ts'
import { readTensorSlices, type ShardSource } from './weights/shards.ts'

/** A model's files, read and checked except for the tensors' bytes. Plain data: it can be posted to a worker thread. */
export interface Checkpoint {
  /** Absolute path of the model's folder. */
  readonly folder: string
  readonly config: ModelConfig
  readonly generation: GenerationDefaults
  /** Where each tensor's bytes lie, by the tensor's name as stored. */
  readonly tensors: ReadonlyMap<string, TensorSlice>
  /** Whether the folder has a tokenizer.json. */
  readonly hasTokenizer: boolean
  /**
   * For a model of a hub: where to download the tensors that are not on this machine. `fetchTensors` downloads them.
   */
  readonly remote?: RemoteModel
}

/**
 * Reads config.json, generation_config.json and the headers of all weight files. The headers come from `shards` if
 * given (for weights that are not in the folder), else from the folder. Throws `CheckpointError`.
 */
export async function openCheckpoint(folder: string, shards?: ShardSource): Promise<Checkpoint> {
  const root = resolve(folder)
  const stats = await stat(root).catch(() => undefined)
  if (!stats?.isDirectory()) throw new CheckpointError('CHECKPOINT_MISSING_FILE', `${root} is missing or not a folder`)

  const configFile = join(root, 'config.json')
  const parsed = parseConfig(await readJsonObject(configFile), configFile)
  const tensors = await readTensorSlices(root, shards)
  const config = namesDType(parsed.raw) ? parsed : { ...parsed, dtype: storedDType(tensors) ?? parsed.dtype }

  const generationFile = join(root, 'generation_config.json')
  const generationJson = (await isFile(generationFile)) ? await readJsonObject(generationFile) : undefined
  return {
    folder: root,
    config,
    generation: parseGeneration(generationJson, generationFile, config, configFile),
    tensors,
    hasTokenizer: await isFile(join(root, 'tokenizer.json')),
  }
}

/** The float type of the first stored tensor that has one. */
function storedDType(tensors: ReadonlyMap<string, TensorSlice>) {
  return [...tensors.values()].map((slice) => slice.dtype).find(isFloatDType)
}
