import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { readTensor } from '../../src/checkpoint/weights/read.ts'
import type { DType } from '../../src/tensor/dtype.ts'
import { fromFloat32, numElements, type Tensor } from '../../src/tensor/tensor.ts'

const NAMES: Record<DType, string> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
}

export const LLAMA_FIXTURE = join(import.meta.dirname, '../fixtures/llama')

/** Header and data of a safetensors file, tensors in the order given. */
export function safetensorsBytes(tensors: Record<string, Tensor>, metadata?: Record<string, string>): Buffer {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata }
  const data: Uint8Array[] = []
  let offset = 0
  for (const [name, tensor] of Object.entries(tensors)) {
    const end = offset + tensor.data.byteLength
    header[name] = { dtype: NAMES[tensor.dtype], shape: tensor.shape, data_offsets: [offset, end] }
    data.push(tensor.data)
    offset = end
  }
  return withHeader(JSON.stringify(header), Buffer.concat(data))
}

/** A safetensors file with whatever header. */
export function withHeader(header: string | Uint8Array, data: Uint8Array): Buffer {
  const bytes = typeof header === 'string' ? Buffer.from(header) : header
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.byteLength))
  return Buffer.concat([length, bytes, data])
}

export async function writeSafetensors(
  path: string,
  tensors: Record<string, Tensor>,
  metadata?: Record<string, string>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, safetensorsBytes(tensors, metadata))
}

/** A float32 tensor that counts up from `first`. */
export function counting(shape: readonly number[], first = 0): Tensor {
  return fromFloat32(
    Float32Array.from({ length: numElements(shape) }, (_, i) => first + i),
    shape,
  )
}

/** A folder that is removed after the test. */
export async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-node-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A copy of the small llama, to damage. */
export async function copyOfLlama(context: TestContext): Promise<string> {
  const folder = await temporaryFolder(context)
  await cp(LLAMA_FIXTURE, folder, { recursive: true })
  return folder
}

/** A checkpoint's tensors as float32, by their names as stored. */
export async function tensorsOf(folder: string): Promise<Record<string, Tensor>> {
  const { tensors } = await openCheckpoint(folder)
  return Object.fromEntries([...tensors].map(([name, slice]) => [name, readTensor(slice, 'float32')]))
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
