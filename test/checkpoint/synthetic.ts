import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { seededRandom } from './write.ts'

/** The sizes of a made-up llama. */
export interface SyntheticLlama {
  readonly numBlocks: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly vocabSize: number
  readonly maxPositions: number
  /** A Mixtral of so many experts then, two of them for each token. */
  readonly numExperts?: number
}

/** Values that are repeated all over: making each anew would take longer than writing them. */
const NUM_VALUES = 1 << 20

/**
 * Writes a llama of random bfloat16 weights, standard deviation 0.01, in one safetensors file, without a tokenizer.
 * Returns the file and the bytes of its tensors.
 */
export async function writeSyntheticLlama(
  folder: string,
  llama: SyntheticLlama,
): Promise<{ file: string; weightBytes: number }> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify(configOf(llama)))
  const file = join(folder, 'model.safetensors')
  let offset = 0
  const header = JSON.stringify(
    Object.fromEntries(
      shapesOf(llama).map(([name, shape]) => {
        const begin = offset
        offset += 2 * shape.reduce((product, dim) => product * dim, 1)
        return [name, { dtype: 'BF16', shape, data_offsets: [begin, offset] }]
      }),
    ),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)))
  const handle = await open(file, 'w')
  try {
    await handle.write(length)
    await handle.write(header)
    const values = randomValues()
    for (let left = offset; left > 0; left -= values.byteLength)
      await handle.write(values, 0, Math.min(left, values.byteLength))
  } finally {
    await handle.close()
  }
  return { file, weightBytes: offset }
}

function configOf({
  numBlocks,
  hiddenSize,
  intermediateSize,
  numHeads,
  numKvHeads,
  vocabSize,
  maxPositions,
  numExperts,
}: SyntheticLlama): object {
  return {
    ...(numExperts === undefined
      ? { model_type: 'llama' }
      : { model_type: 'mixtral', num_local_experts: numExperts, num_experts_per_tok: 2 }),
    num_hidden_layers: numBlocks,
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_attention_heads: numHeads,
    num_key_value_heads: numKvHeads,
    vocab_size: vocabSize,
    max_position_embeddings: maxPositions,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    torch_dtype: 'bfloat16',
    tie_word_embeddings: false,
  }
}

function shapesOf({
  numBlocks,
  hiddenSize,
  intermediateSize,
  numHeads,
  numKvHeads,
  vocabSize,
  numExperts,
}: SyntheticLlama): [string, number[]][] {
  const kvSize = (hiddenSize / numHeads) * numKvHeads
  const block: [string, number[]][] = [
    ['input_layernorm', [hiddenSize]],
    ['post_attention_layernorm', [hiddenSize]],
    ['self_attn.q_proj', [hiddenSize, hiddenSize]],
    ['self_attn.k_proj', [kvSize, hiddenSize]],
    ['self_attn.v_proj', [kvSize, hiddenSize]],
    ['self_attn.o_proj', [hiddenSize, hiddenSize]],
    ...mlpShapes(hiddenSize, intermediateSize, numExperts),
  ]
  const blocks = Array.from({ length: numBlocks }, (_, i) =>
    block.map(([name, shape]): [string, number[]] => [`model.layers.${i}.${name}.weight`, shape]),
  )
  return [
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    ...blocks.flat(),
    ['model.norm.weight', [hiddenSize]],
    ['lm_head.weight', [vocabSize, hiddenSize]],
  ]
}

function mlpShapes(hiddenSize: number, intermediateSize: number, numExperts: number | undefined): [string, number[]][] {
  const wide = [intermediateSize, hiddenSize],
    narrow = [hiddenSize, intermediateSize]
  if (numExperts === undefined)
    return [
      ['mlp.gate_proj', wide],
      ['mlp.up_proj', wide],
      ['mlp.down_proj', narrow],
    ]
  const experts = Array.from({ length: numExperts }, (_, i): [string, number[]][] => {
    const expert = `block_sparse_moe.experts.${i}`
    return [
      [`${expert}.w1`, wide],
      [`${expert}.w2`, narrow],
      [`${expert}.w3`, wide],
    ]
  })
  return [['block_sparse_moe.gate', [numExperts, hiddenSize]], ...experts.flat()]
}

/** About normal: the sum of four even ones, as bfloat16. */
function randomValues(): Uint8Array {
  const random = seededRandom(4)
  const values = Float32Array.from(
    { length: NUM_VALUES },
    () => (random() + random() + random() + random() - 2) * 0.0173,
  )
  const bits = new Uint32Array(values.buffer)
  return new Uint8Array(Uint16Array.from(bits, (bits) => bits >>> 16).buffer)
}
