import type { DType } from '../../tensor/dtype.ts'
import type { Float8Quant, PackedQuant } from '../config/stored-quant.ts'

/** One of the tensors that a linear layer is stored in, and the dtypes that it may have. */
export interface StoredPiece {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtypes: readonly DType[]
  /** Whether a checkpoint may leave it out. */
  readonly optional?: boolean
}

const FLOATS: readonly DType[] = ['float32', 'float16', 'bfloat16']

/** How many groups, and so scales, a row of `inFeatures` weights has. */
export function groupsOf({ groupSize }: Pick<PackedQuant, 'groupSize'>, inFeatures: number): number {
  return groupSize === 0 ? 1 : Math.ceil(inFeatures / groupSize)
}

/** The tensors that a linear layer [out, in] is stored in; names follow the module's. */
export function storedPieces(
  quant: PackedQuant | Float8Quant,
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
      piece(quant.scale, [quant.blockRows === 0 ? 1 : Math.ceil(out / quant.blockRows), columns], FLOATS),
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
