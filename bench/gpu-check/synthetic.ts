import { randomFillSync } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Checkpoint } from '../../src/checkpoint/checkpoint.ts'
import { parseConfig } from '../../src/checkpoint/config/config.ts'
import { parseGeneration } from '../../src/checkpoint/config/generation.ts'
import type { TensorSlice } from '../../src/checkpoint/weights/safetensors.ts'
import { buildBlockGraph } from '../../src/families/graphs/graphs.ts'
import { familyOf } from '../../src/families/models/index.ts'
import { byteLength } from '../../src/tensor/tensor.ts'

export interface Shape {
  readonly numBlocks: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHeads: number
  readonly numKvHeads: number
}

/** Eight blocks of Llama 3 8B: 3489 MB in 16 bits. */
export const LLAMA_3_8B: Shape = {
  numBlocks: 8,
  hiddenSize: 4096,
  intermediateSize: 14336,
  numHeads: 32,
  numKvHeads: 8,
}

/**
 * A checkpoint of random weights in bfloat16 (up to 0.016 in size), for as long as it is used. All its tensors are the
 * same bytes, as many as the largest takes: a file of 117 MB in place of 3.5 GB.
 */
export function syntheticCheckpoint({
  numBlocks,
  hiddenSize,
  intermediateSize,
  numHeads,
  numKvHeads,
}: Shape): Checkpoint & Disposable {
  const config = parseConfig(
    {
      model_type: 'llama',
      hidden_size: hiddenSize,
      intermediate_size: intermediateSize,
      num_hidden_layers: numBlocks,
      num_attention_heads: numHeads,
      num_key_value_heads: numKvHeads,
      vocab_size: 256,
      rope_theta: 500_000,
      max_position_embeddings: 8192,
      torch_dtype: 'bfloat16',
    },
    'synthetic config',
  )
  const folder = mkdtempSync(join(tmpdir(), 'petals-synthetic-'))
  const file = join(folder, 'weights')
  const { parameters } = buildBlockGraph(config, { device: 'cpu', dtype: 'float32' }, 0)
  const names = familyOf(config).names(config)
  const tensors = new Map<string, TensorSlice>()
  let largest = 0
  for (let block = 0; block < numBlocks; block++) {
    for (const parameter of parameters) {
      const name = names.blockPrefix(block) + parameter.name
      const bytes = byteLength('bfloat16', parameter.shape)
      largest = Math.max(largest, bytes)
      tensors.set(name, { name, dtype: 'bfloat16', shape: parameter.shape, file, offset: 0, byteLength: bytes })
    }
  }
  writeRandom(file, largest)
  return {
    folder,
    config,
    generation: parseGeneration(undefined, 'generation', config, 'config'),
    tensors,
    notes: [],
    hasTokenizer: false,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function writeRandom(file: string, bytes: number): void {
  const fd = openSync(file, 'w')
  const words = new Uint16Array(2 ** 22)
  try {
    for (let done = 0; done < bytes; done += words.byteLength) {
      randomFillSync(words)
      // Sign and mantissa at random, the exponent of 2^-7: no infinities, no NaN.
      for (let i = 0; i < words.length; i++) words[i] = (words[i]! & 0x807f) | 0x3c00
      writeSync(fd, words, 0, Math.min(words.byteLength, bytes - done))
    }
  } finally {
    closeSync(fd)
  }
}

/** Bytes of all weights of the blocks, in a dtype of two bytes. */
export function weightBytes({ tensors }: Checkpoint): number {
  return [...tensors.values()].reduce((sum, { byteLength: bytes }) => sum + bytes, 0)
}
