import type { DType } from '../../tensor/dtype.ts'
import type { Fields } from '../config/fields.ts'
import { isJsonObject, type JsonObject } from '../config/json.ts'

/** How the linear layers are stored in a checkpoint that was quantized before it was saved. Plain data. */
export type StoredQuant = PackedQuant | Float8Quant

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

/** Weights as float8 (e4m3) with a scale for each block of rows and columns; 0 columns: blocks are as wide as a row. */
export interface Float8Quant {
  readonly method: 'fp8'
  readonly scale: 'weight_scale_inv' | 'weight_scale'
  readonly blockRows: number
  readonly blockColumns: number
}

/** One of the tensors that a linear layer is stored in, and the dtypes that it may have. */
export interface StoredPiece {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtypes: readonly DType[]
  /** Whether a checkpoint may leave it out. */
  readonly optional?: boolean
}

const FIELD = 'quantization_config'
const FLOATS: readonly DType[] = ['float32', 'float16', 'bfloat16']

/** Names of modules outside of blocks. A config may list them as not quantized: they never are. */
const OUTSIDE = /^(?:re:)?[.*^]*(?:lm_head|model\.embed_tokens|embed_tokens)\$?$/

/**
 * Reads `quantization_config`; undefined if the config has none. Throws `CHECKPOINT_CONFIG` for kinds of quantization
 * that cannot be computed here without rounding again.
 */
export function parseStoredQuant(fields: Fields): StoredQuant | undefined {
  const config = fields.get(FIELD)
  if (config === undefined) return undefined
  if (!isJsonObject(config)) return fields.fail(FIELD, 'must be an object')
  const plain = (config['modules_to_not_convert'] ?? config['ignore'] ?? []) as unknown
  const inside = Array.isArray(plain)
    ? plain.filter((name) => typeof name !== 'string' || !OUTSIDE.test(name))
    : [plain]
  if (inside.length > 0) return unsupported(fields, `leaves out ${JSON.stringify(inside[0])}`)
  switch (config['quant_method']) {
    case 'gptq':
      return parseGptq(fields, config)
    case 'awq':
      return parseAwq(fields, config)
    case 'compressed-tensors':
      return parseCompressed(fields, config)
    case 'fp8':
      return parseFloat8(fields, config)
    default:
      return unsupported(fields, `quant_method ${JSON.stringify(config['quant_method'])}`)
  }
}

function parseGptq(fields: Fields, config: JsonObject): StoredQuant {
  if (config['bits'] !== 4) unsupported(fields, `gptq with bits ${JSON.stringify(config['bits'])}`)
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
  const bits = config['bits'] ?? config['w_bit'],
    version = config['version'] ?? 'gemm'
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

function parseCompressed(fields: Fields, config: JsonObject): StoredQuant {
  const groups = Object.values(isJsonObject(config['config_groups']) ? config['config_groups'] : {})
  const [group] = groups
  const weights = isJsonObject(group) ? group['weights'] : undefined
  const targets = isJsonObject(group) ? group['targets'] : undefined
  if (groups.length !== 1 || !isJsonObject(weights) || !Array.isArray(targets) || targets.join() !== 'Linear')
    unsupported(fields, 'compressed-tensors with other groups than one for Linear')
  const { num_bits: bits, type, strategy, symmetric, group_size: size, actorder } = weights as JsonObject
  const format = config['format'] ?? (group as JsonObject)['format']
  const size0 = strategy === 'channel' ? 0 : groupSize(fields, size)
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
  if (type === 'float' && bits === 8 && format === 'float-quantized' && strategy === 'channel')
    return { method: 'fp8', scale: 'weight_scale', blockRows: 1, blockColumns: 0 }
  return unsupported(
    fields,
    `compressed-tensors of format ${JSON.stringify(format)}, ${JSON.stringify(bits)} bits of type ` +
      `${JSON.stringify(type)}, strategy ${JSON.stringify(strategy)}`,
  )
}

function parseFloat8(fields: Fields, config: JsonObject): StoredQuant {
  const size: unknown = config['weight_block_size']
  if (!Array.isArray(size) || size.length !== 2 || !size.every((n) => Number.isInteger(n) && n > 0))
    return unsupported(fields, `fp8 with weight_block_size ${JSON.stringify(size)}`)
  return { method: 'fp8', scale: 'weight_scale_inv', blockRows: size[0] as number, blockColumns: size[1] as number }
}

function groupSize(fields: Fields, size: unknown): number {
  if (size === -1) return 0
  if (typeof size === 'number' && [16, 32, 64, 128, 256].includes(size)) return size
  return unsupported(fields, `a group size of ${JSON.stringify(size)}`)
}

function unsupported(fields: Fields, what: string): never {
  return fields.fail(
    FIELD,
    `cannot be loaded without loss (${what}): name the checkpoint that this one was quantized from, with --quant`,
  )
}

/** How many groups, and so scales, a row of `inFeatures` weights has. */
export function groupsOf({ groupSize }: Pick<PackedQuant, 'groupSize'>, inFeatures: number): number {
  return groupSize === 0 ? 1 : Math.ceil(inFeatures / groupSize)
}

/** The tensors that a linear layer [out, in] is stored in; names follow the module's. */
export function storedPieces(
  quant: StoredQuant,
  module: string,
  [out, inner]: readonly [number, number],
): StoredPiece[] {
  const piece = (name: string, shape: readonly number[], dtypes: readonly DType[]): StoredPiece => ({
    name: `${module}.${name}`,
    shape,
    dtypes,
  })
  if (quant.method === 'fp8') {
    const columns = quant.blockColumns === 0 ? 1 : Math.ceil(inner / quant.blockColumns)
    return [
      piece('weight', [out, inner], ['uint8']),
      piece(quant.scale, [Math.ceil(out / quant.blockRows), columns], FLOATS),
    ]
  }
  const order: StoredPiece = { ...piece(quant.order, [inner], ['int32', 'int64']), optional: !quant.ordered }
  return [...packedPieces(quant, [out, inner], piece), order]
}

function packedPieces(
  quant: PackedQuant,
  [out, inner]: readonly [number, number],
  piece: (name: string, shape: readonly number[], dtypes: readonly DType[]) => StoredPiece,
): StoredPiece[] {
  const groups = groupsOf(quant, inner)
  switch (quant.method) {
    case 'gptq':
      return [
        piece('qweight', [inner / 8, out], ['int32']),
        piece('qzeros', [groups, out / 8], ['int32']),
        piece('scales', [groups, out], FLOATS),
      ]
    case 'awq':
      return [
        piece('qweight', [inner, out / 8], ['int32']),
        piece('qzeros', [groups, out / 8], ['int32']),
        piece('scales', [groups, out], FLOATS),
      ]
    case 'packed':
      return [
        piece('weight_packed', [out, Math.ceil(inner / 8)], ['int32']),
        piece('weight_scale', [out, groups], FLOATS),
        ...(quant.zeroPoints ? [piece('weight_zero_point', [Math.ceil(out / 8), groups], ['int32'])] : []),
      ]
    case 'int8':
      return [piece('weight', [out, inner], ['int8']), piece('weight_scale', [out, groups], FLOATS)]
  }
}

/** Tensors of quantized checkpoints that are not needed: sizes, scales of activations. */
export const STORED_BESIDE = [/\.weight_shape$/, /\.input_scale$/]
