// Room adapter/: LoRA adapters as PEFT saves them.

import { basename, join, resolve } from 'node:path'
import type { Tensor } from '../../tensor/tensor.ts'
import { Fields } from '../config/fields.ts'
import { isJsonObject, type JsonObject, readJsonObject } from '../files/json.ts'
import { readSafetensorsHeader, type TensorSlice } from '../weights/safetensors.ts'
import { expression, targetsOf } from './targets.ts'
import { unsupported } from './unsupported.ts'

/**
 * A low-rank change of one linear layer's weight by scaling * B A, with A [rank, in] and B [out, rank] (Hu et al.,
 * "LoRA").
 */
export interface AdapterModule {
  /** The layer's name in the whole model, as stored in the adapter. */
  readonly name: string
  readonly a: TensorSlice | Tensor
  readonly b: TensorSlice | Tensor
  readonly scaling: number
}

/** A LoRA adapter of PEFT, read and checked; the matrices' bytes may still be in its file. Plain data. */
export interface Adapter {
  readonly name: string
  readonly modules: readonly AdapterModule[]
}

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** The files of an adapter. */
export const ADAPTER_FILES: readonly string[] = [CONFIG, WEIGHTS]

/** Fields of adapter_config.json that can ask for more than a low-rank product, and the values of each that do not. */
const PLAIN: Readonly<Record<string, readonly unknown[]>> = {
  use_dora: [false],
  lora_bias: [false],
  bias: ['none'],
  fan_in_fan_out: [false],
  modules_to_save: [],
  trainable_token_indices: [],
  layer_replication: [],
  target_parameters: [],
  alora_invocation_tokens: [],
  use_bdlora: [false],
  use_qalora: [false],
  kasa_config: [],
  velora_config: [],
  monteclora_config: [],
  arrow_config: [],
  megatron_config: [],
}

/**
 * Values of `init_lora_weights` that leave the base weights as they are. All others take the initial product off them
 * (PiSSA, CorDA, OLoRA, LoRA-GA) or quantize them (LoftQ): the stored matrices fit other weights than the checkpoint's.
 */
const WHOLE_BASE = new Set<unknown>([undefined, null, true, false, 'gaussian', 'eva', 'orthogonal', 'mica'])

/**
 * Reads the folder of a LoRA adapter that PEFT saved. Throws `CheckpointError` for unreadable files, and
 * `ADAPTER_UNSUPPORTED` for an adapter that does more than change linear layers by low-rank products.
 */
export async function openAdapter(folder: string): Promise<Adapter> {
  const root = resolve(folder)
  const file = join(root, CONFIG)
  const config = await readJsonObject(file)
  checkKind(config, file)
  const slices = await readSafetensorsHeader(join(root, WEIGHTS))
  const scaling = scalings(config, file)
  const isTarget = targetsOf(config, file)
  const halves = new Map<string, { a?: TensorSlice; b?: TensorSlice }>()
  for (const slice of slices) {
    const { module, half } = parseName(slice)
    const both = halves.get(module) ?? {}
    if (both[half] !== undefined)
      throw unsupported(slice.file, `two matrices for ${module}`, 'an adapter has one pair for each module')
    halves.set(module, { ...both, [half]: slice })
  }
  const modules = [...halves].map(([name, { a, b }]): AdapterModule => {
    if (a === undefined || b === undefined)
      throw unsupported(join(root, WEIGHTS), `module ${name}`, `it has only one of lora_A and lora_B`)
    if (!isTarget(name))
      throw unsupported(file, `module ${name}`, 'it has matrices, and the config does not name it to be changed')
    return { name, a, b, scaling: scaling(name, a.shape[0] ?? 1) }
  })
  if (modules.length === 0) throw unsupported(join(root, WEIGHTS), 'an empty file', 'there are no matrices in it')
  return { name: basename(root), modules }
}

function checkKind(config: JsonObject, file: string): void {
  if (config['peft_type'] !== 'LORA')
    throw unsupported(file, `peft_type ${JSON.stringify(config['peft_type'])}`, 'only LORA is supported')
  for (const [field, plain] of Object.entries(PLAIN)) {
    const value = config[field]
    if (value === undefined || value === null || plain.includes(value) || isEmpty(value)) continue
    throw unsupported(file, `${field} ${JSON.stringify(value)}`, 'it is not supported')
  }
  const init = config['init_lora_weights']
  const lower = typeof init === 'string' ? init.toLowerCase() : init
  if (!WHOLE_BASE.has(lower)) {
    const cure = 'save the adapter with path_initial_model_for_weight_conversion, which PEFT has for it'
    throw unsupported(file, `init_lora_weights ${JSON.stringify(init)}`, `it changed the weights of the model: ${cure}`)
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isJsonObject(value) && Object.keys(value).length === 0
}

/**
 * Splits a tensor's name, e.g. "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", into the module's name
 * and the matrix. The adapter's name may follow `lora_A`.
 */
function parseName({ name, file }: TensorSlice): { readonly module: string; readonly half: 'a' | 'b' } {
  const [, module, half] = /^(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/.exec(name) ?? []
  if (module === undefined)
    throw unsupported(file, `tensor ${name}`, 'only lora_A and lora_B of linear layers are supported')
  return { module, half: half === 'A' ? 'a' : 'b' }
}

/**
 * The scaling of each module: alpha / r, or alpha / sqrt(r) with rsLoRA (Kalajdzievski, "A Rank Stabilization Scaling
 * Factor for Fine-Tuning with LoRA"). `rank_pattern` and `alpha_pattern` set r and alpha of single modules.
 */
function scalings(config: JsonObject, file: string): (module: string, storedRank: number) => number {
  const fields = new Fields(config, file)
  const rank = fields.size('r')
  const alpha = fields.positive('lora_alpha')
  const stabilised = fields.flag('use_rslora', false)
  const ranks = patterns(config, 'rank_pattern', file)
  const alphas = patterns(config, 'alpha_pattern', file)
  return (module, storedRank) => {
    const r = ranks(module) ?? rank
    if (r !== storedRank) throw unsupported(file, `rank ${r} for ${module}`, `its lora_A has rank ${storedRank}`)
    return (alphas(module) ?? alpha) / (stabilised ? Math.sqrt(r) : r)
  }
}

/**
 * The value of a module in `rank_pattern` or `alpha_pattern`. As in PEFT, the first key that, as a regular expression,
 * matches the end of the module's name counts.
 */
function patterns(config: JsonObject, field: string, file: string): (module: string) => number | undefined {
  const given = config[field] ?? {}
  if (!isJsonObject(given) || !Object.values(given).every((value) => typeof value === 'number' && value > 0)) {
    throw unsupported(file, `${field} ${JSON.stringify(given)}`, 'it must be an object of numbers above 0')
  }
  const rules = Object.entries(given as Record<string, number>).map(([key, value]) => ({
    pattern: expression(key, '^(?:.*\\.)?%$', field, file),
    value,
  }))
  return (module) => rules.find(({ pattern }) => pattern.test(module))?.value
}
