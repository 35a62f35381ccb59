import type { StoredQuant } from '../checkpoint/weights/stored-quant.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import type { BlockFormat, QuantFormat, Quantization } from '../tensor/quantize.ts'
import { GraphError } from './errors.ts'

/** Where a graph will run, and in which dtype. */
export interface Target {
  readonly device: 'cpu' | 'cuda'
  readonly dtype: FloatDType
  /** How the matrices of linear layers are kept. */
  readonly quant?: Quantization | undefined
  /** How the checkpoint has them, where it was quantized before. */
  readonly stored?: StoredQuant | undefined
  /** How keys and values are kept: in `dtype` where not given. */
  readonly kvDType?: KvDType | undefined
  /** Whether linear layers take LoRA adapters as inputs. */
  readonly adapters?: boolean | undefined
}

/** What a KV cache can be kept in other than the dtype that the model computes in. */
export type KvDType = 'int8'

/** A linear layer's matrix product; a bias is added by a node of its own. */
export type LinearForm = 'FusedMatMul' | 'MatMulNBits' | 'MatMulBnb4' | 'MatMulIntegerToFloat'

/** How a mixture of experts is computed. */
export type ExpertsForm = 'MoE' | 'QMoE'

/** onnxruntime's fused operator, or operators of ONNX itself: slower, and the whole cache is read at each step. */
export type AttentionForm = 'GroupQueryAttention' | 'Primitives'

/** What decides about attention's form. */
export interface HeadShape {
  readonly headDim: number
  /** How many channels of a head are rotated. */
  readonly rotaryDim: number
}

export interface AttentionLowering {
  readonly form: AttentionForm
  /** Whether the operator rotates queries and keys itself; if not, the graph needs `position_ids`. */
  readonly rotary: 'inside' | 'outside'
  /** Channels per head in the operator and in the KV cache: the model's, or padded with zeros. */
  readonly cacheHeadDim: number
  /** Whether windowed blocks may keep the latest positions only, at the front of their cache. */
  readonly windowSlides: boolean
  /** The dtype in which zeros are appended to heads. */
  readonly padDType: FloatDType
}

interface Kernels {
  readonly linear: LinearForm
  readonly attention: AttentionForm
  /** The operator takes head sizes that are multiples of this... */
  readonly headMultiple: number
  /** ...rotates heads whose size is a multiple of this... */
  readonly rotaryHeadMultiple: number
  /** ...and whose rotated half is a multiple of this. */
  readonly rotaryHalfMultiple: number
  readonly windowSlides: boolean
  readonly padDType: FloatDType
}

interface Refusal {
  readonly refusal: string
}

const FUSED = {
  linear: 'FusedMatMul',
  attention: 'GroupQueryAttention',
  headMultiple: 8,
  rotaryHeadMultiple: 16,
  rotaryHalfMultiple: 8,
} as const

/** They take heads of any size, and rotate none. */
const PRIMITIVES = {
  linear: 'FusedMatMul',
  attention: 'Primitives',
  headMultiple: 1,
  rotaryHeadMultiple: Infinity,
  rotaryHalfMultiple: 1,
} as const

const CPU_COMPUTES_FLOAT32 = 'a CPU has fast kernels for float32 only: use float32'

/** Which kernels onnxruntime has on each device for each dtype. */
const KERNELS: Record<Target['device'], Record<FloatDType, Kernels | Refusal>> = {
  cpu: {
    float32: { ...FUSED, windowSlides: true, padDType: 'float32' },
    float16: { refusal: CPU_COMPUTES_FLOAT32 },
    bfloat16: { refusal: CPU_COMPUTES_FLOAT32 },
  },
  cuda: {
    // For checking: GroupQueryAttention has no float32 kernel there.
    float32: { ...PRIMITIVES, windowSlides: false, padDType: 'float32' },
    float16: { ...FUSED, windowSlides: false, padDType: 'float16' },
    // Pad has no bfloat16 kernel.
    bfloat16: { ...FUSED, windowSlides: false, padDType: 'float32' },
  },
}

/** Which kernel reads which quantized format. */
const QUANTIZED_LINEARS: Record<QuantFormat, LinearForm> = {
  'int8-rows': 'MatMulIntegerToFloat',
  int8: 'MatMulNBits',
  int4: 'MatMulNBits',
  nf4: 'MatMulBnb4',
}

/** Throws `GRAPH_UNSUPPORTED` where the device cannot compute in the dtype. */
export function lowerLinear(target: Target): LinearForm {
  const { linear } = kernels(target),
    format = linearFormat(target)
  return format === undefined ? linear : QUANTIZED_LINEARS[format]
}

/** How the matrices of linear layers are kept; those of experts are as `quantOf` says. */
export function linearFormat(target: Pick<Target, 'device' | 'quant'>): QuantFormat | undefined {
  const format = quantOf(target)
  return format === 'int8' && target.device === 'cpu' ? 'int8-rows' : format
}

/** Throws `GRAPH_UNSUPPORTED` where the device has no kernel for quantized experts. */
export function lowerExperts(target: Target): ExpertsForm {
  const format = quantOf(target)
  if (format === undefined) return 'MoE'
  const what = `a mixture of experts in ${format} on ${target.device}`
  if (target.device !== 'cpu')
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      what,
      'the weights of experts are only quantized on a CPU: say --quant none',
    )
  if (format === 'nf4')
    throw new GraphError('GRAPH_UNSUPPORTED', what, 'no kernel reads it: say --quant int4 or --quant int8')
  return 'QMoE'
}

export function quantOf({ quant = 'none' }: Pick<Target, 'quant'>): BlockFormat | undefined {
  return quant === 'none' ? undefined : quant
}

/** Throws `GRAPH_UNSUPPORTED` where the device cannot compute in the dtype, or keep the cache as wanted. */
export function lowerAttention(target: Target, { headDim, rotaryDim }: HeadShape): AttentionLowering {
  if (target.kvDType !== undefined && target.device !== 'cpu') {
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `a KV cache in ${target.kvDType} on ${target.device}`,
      'only a CPU keeps it so: say --kv-dtype auto',
    )
  }
  const { attention, headMultiple, rotaryHeadMultiple, rotaryHalfMultiple, windowSlides, padDType } = kernels(target)
  const cacheHeadDim = Math.ceil(headDim / headMultiple) * headMultiple
  const inside = cacheHeadDim % rotaryHeadMultiple === 0 && (rotaryDim / 2) % rotaryHalfMultiple === 0
  return { form: attention, rotary: inside ? 'inside' : 'outside', cacheHeadDim, windowSlides, padDType }
}

function kernels({ device, dtype }: Target): Kernels {
  const row = KERNELS[device][dtype]
  if ('refusal' in row) throw new GraphError('GRAPH_UNSUPPORTED', `dtype ${dtype} on ${device}`, row.refusal)
  return row
}
