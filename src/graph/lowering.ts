import type { Float8Quant, StoredQuant } from '../checkpoint/config/stored-quant.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import type { BlockFormat, QuantFormat, Quantization } from '../tensor/quantize.ts'
import { GraphError } from './errors.ts'

/** What a graph is built for: the device, the dtype, and how weights and cache are kept. */
export interface Target {
  readonly device: 'cpu' | 'cuda' | 'webgpu'
  readonly dtype: FloatDType
  /** The quantization of linear layers' matrices. */
  readonly quant?: Quantization | undefined
  /** How a checkpoint that was quantized before stores its linear layers. */
  readonly stored?: StoredQuant | undefined
  /** The dtype of keys and values in the cache; `dtype` by default. */
  readonly kvDType?: KvDType | undefined
  /** Whether the graph has inputs for LoRA adapters. */
  readonly adapters?: boolean | undefined
  /**
   * How many rows a run has, each of which has a cache of its own: tensors of one row, for devices whose memory has no
   * addresses. Absent: any number of rows, whose caches are one tensor.
   */
  readonly ownRows?: number | undefined
  /** Whether a block's graph adds an input `prompts`, in the shape of hidden states, to its hidden states. */
  readonly prompted?: boolean | undefined
  /**
   * `training`: whole sequences without a cache, of operators that have gradients, whatever the format of weights is.
   * Absent: steps over a cache, of the fastest operators.
   */
  readonly form?: 'training' | undefined
}

/** A dtype of the KV cache other than the dtype that the model computes in. */
export type KvDType = 'int8'

/**
 * The ONNX operator of a linear layer's matrix product; a bias is added by another node. `FusedMatMul` takes the matrix
 * as checkpoints store it, [out, in]; for `MatMul` it is transposed while it is loaded.
 */
export type LinearForm = 'FusedMatMul' | 'MatMul' | 'MatMulNBits' | 'MatMulBnb4' | 'MatMulIntegerToFloat'

/** The operator that computes a mixture of experts; `Wide`: products of the matrices of all experts side by side. */
export type ExpertsForm = 'MoE' | 'QMoE' | 'Wide'

/**
 * How attention is computed: by onnxruntime's fused operator, or by ONNX's own operators, which is slower and reads the
 * whole cache at each step.
 */
export type AttentionForm = 'GroupQueryAttention' | 'Primitives'

/** The properties of heads that the form of attention depends on. */
export interface HeadShape {
  readonly headDim: number
  /** How many of a head's channels are rotated. */
  readonly rotaryDim: number
  /** Whether scores have a soft cap. */
  readonly softcapped?: boolean | undefined
}

/** How attention is built for a target. */
export interface AttentionLowering {
  readonly form: AttentionForm
  /** Whether the operator rotates queries and keys itself. If not, the graph rotates them and needs `position_ids`. */
  readonly rotary: 'inside' | 'outside'
  /**
   * Channels per head in the operator and in the KV cache: the model's number, rounded up with zeros to what the
   * operator takes.
   */
  readonly cacheHeadDim: number
  /** Whether blocks with a sliding window may keep only the latest positions, at the front of their cache. */
  readonly windowSlides: boolean
  /** The dtype in which zeros are appended to heads. */
  readonly padDType: FloatDType
}

/** How adapters are added to linear layers on a target. */
export interface LoraLowering {
  /** Whether a mask selects each row's own adapter; if not, all rows of a run have the same one. */
  readonly masked: boolean
  /** Whether A is taken as [in, ranks], where products take no transposed matrix. */
  readonly transposesA: boolean
}

/** onnxruntime's kernels for one device and dtype. */
interface Kernels {
  readonly linear: LinearForm
  readonly attention: AttentionForm
  /** The attention operator takes head sizes that are multiples of this... */
  readonly headMultiple: number
  /** ...rotates heads whose size is a multiple of this... */
  readonly rotaryHeadMultiple: number
  /** ...and whose rotated half is a multiple of this. */
  readonly rotaryHalfMultiple: number
  readonly windowSlides: boolean
  readonly padDType: FloatDType
  /** What takes the place of this row for heads with a soft cap; the operator has it where absent. */
  readonly softcapped?: Kernels | Refusal | undefined
}

/** Why a device does not compute in a dtype. */
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

/** ONNX's own operators: heads of any size, and no rotation inside of an operator. */
const PRIMITIVES = {
  linear: 'FusedMatMul',
  attention: 'Primitives',
  headMultiple: 1,
  rotaryHeadMultiple: Infinity,
  rotaryHalfMultiple: 1,
} as const

/** Of WebGPU's operators: `GroupQueryAttention` ignores soft caps, and positions that are not places in the cache. */
const ON_WEBGPU = { ...FUSED, linear: 'MatMul', windowSlides: false } as const

const CPU_COMPUTES_FLOAT32 = 'a CPU has fast kernels for float32 only: use float32'

/** Which kernels onnxruntime has on each device for each dtype. */
const KERNELS: Record<Target['device'], Record<FloatDType, Kernels | Refusal>> = {
  cpu: {
    float32: { ...FUSED, windowSlides: true, padDType: 'float32' },
    float16: { refusal: CPU_COMPUTES_FLOAT32 },
    bfloat16: { refusal: CPU_COMPUTES_FLOAT32 },
  },
  cuda: {
    // Only for checking results: GroupQueryAttention has no float32 kernel on CUDA.
    float32: { ...PRIMITIVES, windowSlides: false, padDType: 'float32' },
    float16: { ...FUSED, windowSlides: false, padDType: 'float16' },
    // The operator Pad has no bfloat16 kernel.
    bfloat16: { ...FUSED, windowSlides: false, padDType: 'float32' },
  },
  webgpu: {
    float32: {
      ...ON_WEBGPU,
      padDType: 'float32',
      softcapped: { ...PRIMITIVES, linear: 'MatMul', windowSlides: false, padDType: 'float32' },
    },
    float16: {
      ...ON_WEBGPU,
      padDType: 'float16',
      softcapped: { refusal: 'attention with a soft cap is computed in float32 there: use float32' },
    },
    bfloat16: { refusal: 'WebGPU has no bfloat16: use float32 or float16' },
  },
}

/** The operator that reads each quantized format. */
const QUANTIZED_LINEARS: Record<QuantFormat, LinearForm> = {
  'int8-rows': 'MatMulIntegerToFloat',
  int8: 'MatMulNBits',
  int4: 'MatMulNBits',
  'int4-128': 'MatMulNBits',
  nf4: 'MatMulBnb4',
}

/**
 * The operator for a linear layer's matrix product. Throws `GRAPH_UNSUPPORTED` if the device cannot compute in the
 * dtype.
 */
export function lowerLinear(target: Target): LinearForm {
  if (target.form === 'training') return lowerTraining(target)
  const { linear } = kernels(target),
    format = linearFormat(target)
  return format === undefined ? linear : QUANTIZED_LINEARS[format]
}

/** Formats of linear layers that a CPU has quicker kernels for. */
const ON_CPU: Partial<Record<BlockFormat, QuantFormat>> = { int8: 'int8-rows', int4: 'int4-128' }

/** The format of linear layers' matrices; undefined: not quantized. For the matrices of experts see `quantOf`. */
export function linearFormat(target: Pick<Target, 'device' | 'quant'>): QuantFormat | undefined {
  const format = quantOf(target)
  return (target.device === 'cpu' && format !== undefined && ON_CPU[format]) || format
}

/**
 * How a mixture of experts is computed. WebGPU has no kernel for MoE, and its QMoE gives wrong values. Throws
 * `GRAPH_UNSUPPORTED` for a format that the device cannot compute it in.
 */
export function lowerExperts(target: Target): ExpertsForm {
  const format = target.stored?.method === 'mxfp4' ? 'mxfp4' : quantOf(target)
  const what = `a mixture of experts in ${format} on ${target.device}`
  if (target.device === 'webgpu' && format === 'mxfp4')
    throw new GraphError('GRAPH_UNSUPPORTED', what, 'name a checkpoint of the model in 16 bits')
  if (target.device === 'webgpu' && format !== 'nf4') return 'Wide'
  if (format === undefined) return 'MoE'
  if (target.device === 'cuda')
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      what,
      'the weights of experts are only quantized on a CPU: say --quant none',
    )
  if (format === 'nf4')
    throw new GraphError('GRAPH_UNSUPPORTED', what, 'no kernel reads it: say --quant int4 or --quant int8')
  return 'QMoE'
}

/** How adapters are added: where each has buffers of its own, all rows of a run have the same one. */
export function lowerLora({ device, form }: Pick<Target, 'device' | 'form'>): LoraLowering {
  const onWebGpu = device === 'webgpu'
  return { masked: form !== 'training' && !onWebGpu, transposesA: onWebGpu }
}

/** How float8 matrices are stored; undefined: they are not. */
export function float8Of({ stored }: Pick<Target, 'stored'>): Float8Quant | undefined {
  return stored?.method === 'fp8' ? stored : undefined
}

/** The block format that was asked for; undefined: not quantized. */
export function quantOf({ quant = 'none' }: Pick<Target, 'quant'>): BlockFormat | undefined {
  return quant === 'none' ? undefined : quant
}

/**
 * How attention is built for a target and heads of this shape. Throws `GRAPH_UNSUPPORTED` if the device cannot compute
 * in the dtype or keep the cache as asked.
 */
export function lowerAttention(target: Target, { headDim, rotaryDim, softcapped }: HeadShape): AttentionLowering {
  if (target.kvDType !== undefined && target.device !== 'cpu') {
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `a KV cache in ${target.kvDType} on ${target.device}`,
      'only a CPU keeps it so: say --kv-dtype auto',
    )
  }
  const { attention, headMultiple, rotaryHeadMultiple, rotaryHalfMultiple, windowSlides, padDType } = kernels(
    target,
    softcapped,
  )
  const cacheHeadDim = Math.ceil(headDim / headMultiple) * headMultiple
  const inside = cacheHeadDim % rotaryHeadMultiple === 0 && (rotaryDim / 2) % rotaryHalfMultiple === 0
  return { form: attention, rotary: inside ? 'inside' : 'outside', cacheHeadDim, windowSlides, padDType }
}

/** Products of float32 matrices, which quantized ones become. Throws `GRAPH_UNSUPPORTED` where no test has run. */
function lowerTraining({ device, dtype }: Target): LinearForm {
  if (device === 'cpu' && dtype === 'float32') return 'FusedMatMul'
  throw new GraphError(
    'GRAPH_UNSUPPORTED',
    `training in ${dtype} on ${device}`,
    'only a CPU computes gradients, in float32: serve training clients with --device cpu',
  )
}

function kernels({ device, dtype }: Target, softcapped = false): Kernels {
  const of = KERNELS[device][dtype]
  const row = (softcapped && 'softcapped' in of ? of.softcapped : undefined) ?? of
  if ('refusal' in row) throw new GraphError('GRAPH_UNSUPPORTED', `dtype ${dtype} on ${device}`, row.refusal)
  return row
}
