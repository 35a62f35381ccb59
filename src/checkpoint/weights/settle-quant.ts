import { type ModelConfig, isFloatDType } from '../config/config.ts'
import { CheckpointError, listSome } from '../files/errors.ts'
import { bareName } from './names.ts'
import type { TensorSlice } from './safetensors.ts'
import type { Float8Quant, StoredQuant } from '../config/stored-quant.ts'

type Tensors = ReadonlyMap<string, TensorSlice>

/** Methods that store every linear layer of a block packed. */
const PACKS_ALL: readonly string[] = ['gptq', 'awq', 'packed', 'int8', 'fp8'] satisfies StoredQuant['method'][]

/** A matrix in a block that is no linear layer of those: a router of experts. */
const ROUTER = /\.(?:gate|router|shared_expert_gate)\.weight$/

/**
 * The config and the tensors of a quantized checkpoint as its files have them, where config.json leaves it open: the
 * name of float8's scales, and scales of a whole row or matrix without an axis for them. `file` names config.json in
 * messages. Throws `CHECKPOINT_CONFIG` if the files hold linear layers that were left as they were.
 */
export function settleQuant(
  config: ModelConfig,
  tensors: Tensors,
  file: string,
): { readonly config: ModelConfig; readonly tensors: Tensors } {
  const quant = config.storedQuant
  if (quant === undefined) return { config, tensors }
  if (PACKS_ALL.includes(quant.method)) refusePlain(tensors, file)
  if (quant.method !== 'fp8') return { config, tensors }
  const settled: Float8Quant = { ...quant, scale: scaleName(quant, tensors) }
  const suffix = `.${settled.scale}`
  const shaped = [...tensors].map(([name, slice]): [string, TensorSlice] => [
    name,
    quant.blockColumns === 0 && name.endsWith(suffix) ? asMatrix(slice) : slice,
  ])
  return { config: { ...config, storedQuant: settled }, tensors: new Map(shaped) }
}

/** Tools call the same scales by either name. */
function scaleName({ scale }: Float8Quant, tensors: Tensors): Float8Quant['scale'] {
  const other = scale === 'weight_scale' ? 'weight_scale_inv' : 'weight_scale'
  const has = (name: string) => [...tensors.keys()].some((key) => key.endsWith(`.${name}`))
  return !has(scale) && has(other) ? other : scale
}

/** A number, or a list of one for each row, as a matrix of one column. */
function asMatrix(slice: TensorSlice): TensorSlice {
  return slice.shape.length < 2 ? { ...slice, shape: [slice.shape[0] ?? 1, 1] } : slice
}

function refusePlain(tensors: Tensors, file: string): void {
  const plain = [...tensors.values()].filter(
    ({ name, shape, dtype }) =>
      shape.length === 2 &&
      isFloatDType(dtype) &&
      /^(?:layers|h)\.\d+\..*\.weight$/.test(bareName(name)) &&
      !ROUTER.test(name),
  )
  if (plain.length === 0) return
  const names = listSome(plain.map(({ name }) => name.replace(/\.weight$/, '')))
  throw new CheckpointError(
    'CHECKPOINT_CONFIG',
    `${file}: quantization_config leaves out linear layers (${names}), which is not supported: name the checkpoint ` +
      'that this one was quantized from, with --quant',
  )
}
