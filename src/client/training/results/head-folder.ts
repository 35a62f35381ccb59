import { join } from 'node:path'
import { Fields } from '../../../checkpoint/config/fields.ts'
import { readJsonObject } from '../../../checkpoint/files/json.ts'
import { CheckpointError } from '../../../checkpoint/files/errors.ts'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { writeSafetensors } from '../../../checkpoint/weights/write-safetensors.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { TunedHead } from '../../tuned/tuned-head.ts'
import { readTensors } from './read-tensors.ts'

const CONFIG = 'head.json'
const TENSORS = 'head.safetensors'

/** Writes a tuned head into a folder; its tensors have the names that transformers knows. */
export async function saveHead(folder: string, { weight, bias, modelKey }: TunedHead): Promise<void> {
  const tensors = new Map<string, Tensor>([['lm_head.weight', weight]])
  if (bias !== undefined) tensors.set('lm_head.bias', bias)
  await writeSafetensors(join(folder, TENSORS), tensors)
  await writeByRename(join(folder, CONFIG), `${JSON.stringify({ model_key: modelKey }, undefined, 2)}\n`)
}

/** Reads a head that `saveHead` has written. Throws `CHECKPOINT_...` for files that are missing or damaged. */
export async function loadHead(folder: string): Promise<TunedHead> {
  const file = join(folder, CONFIG)
  const config = new Fields(await readJsonObject(file), file)
  const tensors = await readTensors(join(folder, TENSORS))
  const [weight, bias] = [tensors.get('lm_head.weight'), tensors.get('lm_head.bias')]
  if (weight === undefined)
    throw new CheckpointError('CHECKPOINT_MISSING_TENSOR', `${join(folder, TENSORS)} has no lm_head.weight`)
  const modelKey = config.get('model_key') === undefined ? undefined : config.text('model_key')
  return { weight, ...(bias !== undefined && { bias }), ...(modelKey !== undefined && { modelKey }) }
}
