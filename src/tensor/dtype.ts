/** Element types, by the names that PyTorch and this project's users know. */
export type DType = 'float32' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool'

/** The types in which a model computes. */
export type FloatDType = 'float32' | 'float16' | 'bfloat16'

const SIZES: Record<DType, number> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  bool: 1,
}

/** Bytes of one element. */
export function dtypeSize(dtype: DType): number {
  return SIZES[dtype]
}

/** Whether a text is the name of a dtype. */
export function isDType(name: string): name is DType {
  return Object.hasOwn(SIZES, name)
}
