// Room results/: what was trained, on disk, as others can use it.

import { join } from 'node:path'
import { Fields } from '../../../checkpoint/config/fields.ts'
import { readJsonObject } from '../../../checkpoint/files/json.ts'
import { CheckpointError } from '../../../checkpoint/files/errors.ts'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { writeSafetensors } from '../../../checkpoint/weights/write-safetensors.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { TunedPrompts } from '../../tuned/tuned-prompts.ts'
import { readTensors } from './read-tensors.ts'

const CONFIG = 'prompts.json'
const TENSORS = 'prompts.safetensors'

/** Writes tuned prompts into a folder. */
export async function savePrompts(folder: string, { before, deep, modelKey }: TunedPrompts): Promise<void> {
  const tensors = new Map<string, Tensor>([['prompts', before]])
  if (deep !== undefined) tensors.set('deep_prompts', deep)
  await writeSafetensors(join(folder, TENSORS), tensors)
  const config = {
    method: deep === undefined ? 'ptune' : 'deep_ptune',
    pre_seq_len: before.shape[0],
    model_key: modelKey,
  }
  await writeByRename(join(folder, CONFIG), `${JSON.stringify(config, undefined, 2)}\n`)
}

/**
 * Reads tuned prompts that `savePrompts` has written. Throws `CHECKPOINT_...` for files that are missing, damaged or
 * contradict each other.
 */
export async function loadPrompts(folder: string): Promise<TunedPrompts> {
  const file = join(folder, CONFIG)
  const config = new Fields(await readJsonObject(file), file)
  const tensors = await readTensors(join(folder, TENSORS))
  const [before, deep] = [tensors.get('prompts'), tensors.get('deep_prompts')]
  const isDeep = config.text('method') === 'deep_ptune'
  if (before?.shape[0] !== config.size('pre_seq_len') || isDeep !== (deep !== undefined))
    throw new CheckpointError('CHECKPOINT_SHAPE', `${join(folder, TENSORS)} does not hold what ${file} says`)
  const modelKey = config.get('model_key') === undefined ? undefined : config.text('model_key')
  return { before, ...(deep !== undefined && { deep }), ...(modelKey !== undefined && { modelKey }) }
}
