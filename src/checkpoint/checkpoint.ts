// Floor checkpoint/: a model's files as Hugging Face stores them. Rooms, from the ground up: files/ (JSON, errors,
// atomic writes), config/ (what kind of model), weights/ (where each tensor lies, and its bytes), adapter/ (LoRA),
// tokenizer/ (text to ids), hub/ (files that are not here yet). The files beside them open a model or an adapter.

import { readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { errorMessage } from '../base/errors.ts'
import { isFloatDType, type ModelConfig, namesDType, parseConfig } from './config/config.ts'
import { CheckpointError, listSome } from './files/errors.ts'
import { GGUF_CURE, isGguf } from './files/gguf.ts'
import { type GenerationDefaults, parseGeneration } from './config/generation.ts'
import { HEAD, modelTypeRow } from './config/model-types/index.ts'
import type { FetchableTensors } from './hub/remote/remote-model.ts'
import { isFile, type JsonObject, readJsonObject } from './files/json.ts'
import { findHead } from './weights/head.ts'
import type { TensorSlice } from './weights/safetensors.ts'
import { settleQuant } from './weights/settle-quant.ts'
import { isOfModel, isOfText, splitExperts } from './weights/text-tensors.ts'
import { folderSource, type IsNeeded, readTensorSlices, type ShardSource } from './weights/shards.ts'

/** A model's files, read and checked except for the tensors' bytes. Plain data: it can be posted to a worker thread. */
export interface Checkpoint extends FetchableTensors {
  /** Absolute path of the model's folder. */
  readonly folder: string
  readonly config: ModelConfig
  readonly generation: GenerationDefaults
  /** What a user should know of how the files were taken, a line each. */
  readonly notes: readonly string[]
  /** Whether the folder has a tokenizer.json. */
  readonly hasTokenizer: boolean
}

/**
 * Reads config.json, generation_config.json and the headers of all weight files. The headers come from `shards` if
 * given (for weights that are not in the folder), else from the folder. Throws `CheckpointError`.
 */
export async function openCheckpoint(folder: string, shards?: ShardSource): Promise<Checkpoint> {
  const root = resolve(folder)
  const stats = await stat(root).catch(() => undefined)
  if (stats === undefined) throw new CheckpointError('CHECKPOINT_MISSING_FILE', `${root} is missing`)
  if (!stats.isDirectory()) throw notAFolder(root)

  const configFile = join(root, 'config.json')
  if (!(await isFile(configFile))) {
    const ggufs = (await readdir(root)).filter(isGguf)
    if (ggufs.length > 0)
      throw new CheckpointError(
        'CHECKPOINT_FORMAT',
        `${root} holds ${listSome(ggufs)} and no config.json: ${GGUF_CURE}`,
      )
  }
  const parsed = parseConfig(await readJsonObject(configFile), configFile)
  const source = shards ?? folderSource(root)
  const stored = ownTensors(parsed, await readTensorSlices(root, source, neededBy(parsed)))
  const settled = settleQuant(parsed, stored, configFile)
  const { config, tensors, notes } = await settleHead(settled.config, settled.tensors, source)

  const generationFile = join(root, 'generation_config.json')
  const { json: generationJson, note } = await readGeneration(generationFile)
  return {
    folder: root,
    config: namesDType(config.raw) ? config : { ...config, dtype: storedDType(tensors) ?? config.dtype },
    notes: [...(config.wrapper === undefined ? [] : [wrapperNote(config.wrapper)]), ...notes, ...note],
    generation: parseGeneration(generationJson, generationFile, config, configFile),
    tensors,
    hasTokenizer: await isFile(join(root, 'tokenizer.json')),
  }
}

function notAFolder(file: string): CheckpointError {
  if (isGguf(file)) return new CheckpointError('CHECKPOINT_FORMAT', `${file}: ${GGUF_CURE}`)
  return new CheckpointError('CHECKPOINT_FORMAT', `${file} is a file: a model is a folder, so name ${dirname(file)}`)
}

/** generation_config.json, which no model needs: one that cannot be read is passed over, with a note. */
async function readGeneration(file: string): Promise<{ json?: JsonObject; note: string[] }> {
  if (!(await isFile(file))) return { note: [] }
  try {
    return { json: await readJsonObject(file), note: [] }
  } catch (error) {
    return { note: [`${errorMessage(error)}: its defaults of generation are not used`] }
  }
}

function neededBy({ modelType, wrapper }: ModelConfig): IsNeeded {
  const { embedding, finalNorm } = modelTypeRow(modelType)
  return (name) => isOfModel(name, [embedding, finalNorm]) && (wrapper === undefined || isOfText(name))
}

/** The tensors of the model itself, under the names that its families know. */
function ownTensors(
  { modelType, wrapper }: ModelConfig,
  stored: ReadonlyMap<string, TensorSlice>,
): ReadonlyMap<string, TensorSlice> {
  const own = wrapper === undefined ? stored : new Map([...stored].filter(([name]) => isOfText(name)))
  const { experts } = modelTypeRow(modelType)
  return experts === undefined ? own : splitExperts(own, experts)
}

function wrapperNote(wrapper: string): string {
  return `of this ${wrapper} model only the text part is used: it takes no images and no sound`
}

/** The config and the tensors with the head that the files hold, whatever config.json says of it. */
async function settleHead(
  config: ModelConfig,
  stored: ReadonlyMap<string, TensorSlice>,
  source: ShardSource,
): Promise<Pick<Checkpoint, 'config' | 'tensors' | 'notes'>> {
  if (!config.tiedEmbeddings) return { config, tensors: stored, notes: [] }
  const { embedding, head = HEAD } = modelTypeRow(config.modelType)
  const { tied, tensors } = await findHead(stored, { embedding, head }, (...rows) => source.rows(...rows))
  if (tied) return { config, tensors, notes: [] }
  const note = 'config.json ties the head to the embedding, but the weights hold another head: that one is used'
  return { config: { ...config, tiedEmbeddings: false }, tensors, notes: [note] }
}

/** The float type of the first stored tensor that has one. */
function storedDType(tensors: ReadonlyMap<string, TensorSlice>) {
  return [...tensors.values()].map((slice) => slice.dtype).find(isFloatDType)
}
