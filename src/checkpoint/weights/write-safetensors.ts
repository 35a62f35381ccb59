import type { DType } from '../../tensor/dtype.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { writeByRename } from '../files/write-by-rename.ts'
import { HEADER_LENGTH_BYTES } from './safetensors.ts'

const NAMES: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
}

/**
 * Writes tensors into a safetensors file, by the names' order, atomically. `metadata` are texts in its header; `format`
 * is `pt`, without which other libraries do not read it.
 */
export async function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } }
  let offset = 0
  for (const [name, { dtype, shape, data }] of sorted) {
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [offset, (offset += data.byteLength)] }
  }
  const json = JSON.stringify(header)
  // Spaces at the end align the tensors to 8 bytes.
  const text = Buffer.from(json + ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8))
  const length = Buffer.alloc(HEADER_LENGTH_BYTES)
  length.writeBigUInt64LE(BigInt(text.byteLength))
  await writeByRename(file, [length, text, ...sorted.map(([, { data }]) => data)])
}
