import type { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from '../files/json.ts'

/** How the linear layers are stored in a checkpoint that was quantized before it was saved. Plain data. */
export type StoredQuant = PackedQuant | Float8Quant | MicroscaledQuant

/**
 * Weights as integers of `bits` bits, packed into words, with a scale for each group of a row's weights. The methods
 * pack the same things in different orders.
 */
export interface PackedQuant {
  readonly method: 'gptq' | 'awq' | 'packed' | 'int8'
  readonly bits: 4 | 8
  /** How many neighbouring weights of a row share a scale; 0: all of them. */
  readonly groupSize: number
  /** Whether zero points are stored. If not, all are half of the integers' range. */
  readonly zeroPoints: boolean
  /** What has to be added to a stored zero point; GPTQ stores them less one. */
  readonly zeroOffset: number
  /** The tensor that says which group each weight of a row is in, if one is stored: the natural one is read here. */
  readonly order: 'g_idx' | 'weight_g_idx'
  /** Whether the config says that the groups may be others, so that the tensor must be there. */
  readonly ordered: boolean
}

/**
 * Weights as float8 (e4m3) with a scale for each block of rows and columns; 0 rows: blocks are as high as the matrix, 0
 * columns: they are as wide as a row.
 */
export interface Float8Quant {
  readonly method: 'fp8'
  readonly scale: 'weight_scale_inv' | 'weight_scale'
  readonly blockRows: number
  readonly blockColumns: number
}

/** The matrices of experts, and no others, in MXFP4 (`mxfp4.ts`). */
export interface MicroscaledQuant {
  readonly method: 'mxfp4'
}

const FIELD = 'quantization_config'

/** Fields that list modules which were left as they were; which these are is seen in the files (`settleQuant`). */
const LISTS = ['modules_to_not_convert', 'ignore', 'ignored_layers']

/**
 * Reads `quantization_config`; undefined if the config has none. Throws `CHECKPOINT_CONFIG` for kinds of quantization
 * that cannot be computed here without rounding again.
 */
export function parseStoredQuant(fields: Fields): StoredQuant | undefined {
  const config = fields.get(FIELD)
  if (config === undefined) return undefined
  if (!isJsonObject(config)) return fields.fail(FIELD, 'must be an object')
  for (const name of LISTS) {
    const list = config[name] ?? []
    if (!Array.isArray(list) || !list.every((each) => typeof each === 'string'))
      fields.fail(FIELD, `must have a list of texts as ${name}, not ${JSON.stringify(list).slice(0, 80)}`)
  }
  switch (config['quant_method']) {
    case 'gptq':
      return parseGptq(fields, config)
    case 'awq':
      return parseAwq(fields, config)
    case 'compressed-tensors':
      return parseCompressed(fields, config)
    case 'fp8':
      return parseFloat8(fields, config)
    case 'mxfp4':
      return { method: 'mxfp4' }
    default:
      return unsupported(fields, `quant_method ${JSON.stringify(config['quant_method'])}`)
  }
}

function parseGptq(fields: Fields, config: JsonObject): StoredQuant {
  if (config['bits'] !== 4) unsupported(fields, `gptq with bits ${JSON.stringify(config['bits'])}`)
  if (config['lm_head'] === true) unsupported(fields, 'gptq with a packed lm_head')
  const isSecond = config['checkpoint_format'] === 'gptq_v2'
  return {
    method: 'gptq',
    bits: 4,
    groupSize: groupSize(fields, config['group_size']),
    zeroPoints: true,
    zeroOffset: isSecond ? 0 : 1,
    order: 'g_idx',
    ordered: (config['desc_act'] ?? false) !== false,
  }
}

function parseAwq(fields: Fields, config: JsonObject): StoredQuant {
  const bits = config['bits'] ?? config['w_bit']
  const version = config['version'] ?? 'gemm'
  if (bits !== 4 || config['zero_point'] !== true || String(version).toLowerCase() !== 'gemm') {
    unsupported(
      fields,
      `awq of bits ${JSON.stringify(bits)}, zero_point ${JSON.stringify(config['zero_point'])}, ` +
        `version ${JSON.stringify(version)}`,
    )
  }
  return {
    method: 'awq',
    bits: 4,
    groupSize: groupSize(fields, config['group_size'] ?? config['q_group_size']),
    zeroPoints: true,
    zeroOffset: 0,
    order: 'g_idx',
    ordered: false,
  }
}

function parseCompressed(fields: Fields, config: JsonObject): StoredQuant | undefined {
  const groups = Object.values(isJsonObject(config['config_groups']) ? config['config_groups'] : {})
  // Only keys and values were to be cached in fewer bits.
  if (groups.length === 0 && isJsonObject(config['kv_cache_scheme'])) return undefined
  const [group] = groups
  const weights = isJsonObject(group) ? group['weights'] : undefined
  const targets = isJsonObject(group) ? group['targets'] : undefined
  if (groups.length !== 1 || !isJsonObject(weights) || !Array.isArray(targets) || targets.join() !== 'Linear')
    unsupported(fields, 'compressed-tensors with other groups than one for Linear')
  const { num_bits: bits, type, symmetric, group_size: size, actorder } = weights as JsonObject
  const strategy = strategyOf(weights as JsonObject)
  const format = config['format'] ?? (group as JsonObject)['format']
  const size0 = strategy === 'group' ? groupSize(fields, size) : 0
  const ordered = actorder === 'group' || actorder === 'dynamic'
  if (!ordered && ![undefined, null, 'weight', 'static'].includes(actorder as null))
    unsupported(fields, `compressed-tensors with actorder ${JSON.stringify(actorder)}`)
  if (type === 'int' && bits === 4 && format === 'pack-quantized' && (strategy === 'group' || strategy === 'channel')) {
    return {
      method: 'packed',
      bits: 4,
      groupSize: size0,
      zeroPoints: symmetric === false,
      zeroOffset: 0,
      order: 'weight_g_idx',
      ordered,
    }
  }
  if (
    type === 'int' &&
    bits === 8 &&
    format === 'int-quantized' &&
    symmetric !== false &&
    (strategy === 'group' || strategy === 'channel')
  ) {
    return {
      method: 'int8',
      bits: 8,
      groupSize: size0,
      zeroPoints: false,
      zeroOffset: 0,
      order: 'weight_g_idx',
      ordered,
    }
  }
  if (type === 'float' && bits === 8 && (format === 'float-quantized' || format === 'naive-quantized')) {
    const block = float8Block(strategy, (weights as JsonObject)['block_structure'])
    if (block !== undefined) return { method: 'fp8', scale: 'weight_scale', ...block }
  }
  return unsupported(
    fields,
    `compressed-tensors of format ${JSON.stringify(format ?? null)}, ${JSON.stringify(bits ?? null)} bits of type ` +
      `${JSON.stringify(type)}, strategy ${JSON.stringify(strategy)}`,
  )
}

/** What has a scale of its own; where a config leaves it out, the group size tells. */
function strategyOf({ strategy, group_size: size }: JsonObject): unknown {
  if (strategy !== undefined && strategy !== null) return strategy
  if (size === undefined || size === null) return 'tensor'
  return size === -1 ? 'channel' : 'group'
}

/** Rows and columns of what has a scale of its own; undefined for what is not known. */
function float8Block(
  strategy: unknown,
  structure: unknown,
): Pick<Float8Quant, 'blockRows' | 'blockColumns'> | undefined {
  if (strategy === 'tensor') return { blockRows: 0, blockColumns: 0 }
  if (strategy === 'channel') return { blockRows: 1, blockColumns: 0 }
  return strategy === 'block' && isBlock(structure)
    ? { blockRows: structure[0], blockColumns: structure[1] }
    : undefined
}

function isBlock(size: unknown): size is [number, number] {
  return Array.isArray(size) && size.length === 2 && size.every((n) => Number.isSafeInteger(n) && n > 0)
}

function parseFloat8(fields: Fields, config: JsonObject): StoredQuant {
  // Without a block size there is one scale for a whole matrix.
  const size = config['weight_block_size'] ?? [0, 0]
  if (config['weight_block_size'] !== undefined && config['weight_block_size'] !== null && !isBlock(size))
    return unsupported(fields, `fp8 with weight_block_size ${JSON.stringify(size)}`)
  const [blockRows, blockColumns] = size as [number, number]
  return { method: 'fp8', scale: 'weight_scale_inv', blockRows, blockColumns }
}

function groupSize(fields: Fields, size: unknown): number {
  if (size === -1) return 0
  if (typeof size === 'number' && [16, 32, 64, 128, 256].includes(size)) return size
  return unsupported(fields, size === undefined ? 'no group_size' : `a group size of ${JSON.stringify(size)}`)
}

function unsupported(fields: Fields, what: string): never {
  return fields.fail(
    FIELD,
    `cannot be loaded without loss (${what}): name the checkpoint that this one was quantized from, with --quant`,
  )
}
