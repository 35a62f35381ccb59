import { join } from 'node:path'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { writeSafetensors } from '../../../checkpoint/weights/write-safetensors.ts'
import { ADAPTER_FILES } from '../../../checkpoint/adapter/adapter.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { type TrainedLora, loraPairs } from '../methods/lora.ts'

/** What of a model an adapter's config names. */
export interface AdapterBase {
  /** The model's folder or its name on the hub. */
  readonly model: string
  /** PEFT's name of the task; none for a classifier, whose head lies beside the adapter. */
  readonly taskType: 'CAUSAL_LM' | null
}

/** Writes an adapter into a folder as PEFT saves one: PEFT loads it, and servers serve it by the folder's name. */
export async function saveLora(folder: string, lora: TrainedLora, { model, taskType }: AdapterBase): Promise<void> {
  const tensors = new Map<string, Tensor>()
  for (const [name, { a, b }] of loraPairs(lora)) {
    tensors.set(`base_model.model.${name}.lora_A.weight`, a)
    tensors.set(`base_model.model.${name}.lora_B.weight`, b)
  }
  const config = {
    peft_type: 'LORA',
    task_type: taskType,
    base_model_name_or_path: model,
    r: lora.rank,
    lora_alpha: lora.alpha,
    target_modules: targetModules(lora),
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_dropout: 0,
    modules_to_save: null,
    use_dora: false,
    use_rslora: false,
  }
  const [configFile, weightsFile] = ADAPTER_FILES as [string, string]
  await writeSafetensors(join(folder, weightsFile), tensors)
  await writeByRename(join(folder, configFile), `${JSON.stringify(config, undefined, 2)}\n`)
}

/**
 * The names by which PEFT finds the same layers and no others: whole ones, since ends of names occur elsewhere, too.
 */
function targetModules({ modules }: TrainedLora): string[] {
  return modules.map(({ name }) => name)
}
