import { createHash } from 'node:crypto'
import { byCodeUnits, canonicalJson } from '../files/canonical-json.ts'
import { chunkBuffer, readChunks } from './read.ts'
import type { TensorSlice } from './safetensors.ts'

const HEX_DIGITS = 16

/** Bytes read and hashed at a time: more is not hashed faster, and adds to the memory that loading takes. */
const HASHED_BYTES = 1 << 20

/**
 * A digest of each block's weights as stored: 16 hex digits of a sha256 over each tensor's name within the block,
 * dtype, shape and bytes, in the order of these names. `blocks` holds the tensors of each block. Reads all bytes,
 * synchronously: for worker threads.
 */
export function blockDigests(blocks: readonly (readonly TensorSlice[])[]): string[] {
  const buffer = chunkBuffer(HASHED_BYTES)
  return blocks.map((slices) => {
    const hash = createHash('sha256')
    const named = slices.map((slice) => ({ slice, name: nameInBlock(slice.name) }))
    for (const { slice, name } of named.sort((a, b) => byCodeUnits(a.name, b.name))) {
      hash.update(canonicalJson([name, slice.dtype, slice.shape]))
      readChunks(slice, (chunk) => hash.update(chunk), buffer)
    }
    return hash.digest('hex').slice(0, HEX_DIGITS)
  })
}

/** `model.layers.3.mlp.up_proj.weight` is `mlp.up_proj.weight` within its block. */
function nameInBlock(name: string): string {
  return name.replace(/^.*?\b\d+\./, '')
}
