import { createCipheriv } from 'node:crypto'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts'
import { readChunks } from '../../../src/checkpoint/weights/read.ts'
import { type HubSettings, hubSettings } from '../../../src/checkpoint/hub/settings.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { byteLength } from '../../../src/tensor/tensor.ts'
import { safetensorsBytes, temporaryFolder } from '../write.ts'
import type { StandInHub } from './server.ts'

export interface TinyModel {
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numBlocks: number
  readonly blocksPerShard: number
}

/** Blocks of 100 KB, seven to a shard: 0:7, 7:14, 14:20. */
export const TINY: TinyModel = { hiddenSize: 64, intermediateSize: 192, numBlocks: 20, blocksPerShard: 7 }

/** Blocks of 2 MB. */
export const SMALL: TinyModel = { hiddenSize: 256, intermediateSize: 1024, numBlocks: 6, blocksPerShard: 3 }

const VOCAB = 2048

/** The files of a llama with bytes that look like noise: the ends in the first shard, then the blocks. */
export function modelFiles(model: TinyModel): Map<string, Buffer> {
  const { hiddenSize, numBlocks, blocksPerShard } = model
  const shards: Record<string, Tensor>[] = [
    {
      'model.embed_tokens.weight': noise([VOCAB, hiddenSize], 1),
      'model.norm.weight': noise([hiddenSize], 2),
      'lm_head.weight': noise([VOCAB, hiddenSize], 3),
    },
  ]
  for (let start = 0; start < numBlocks; start += blocksPerShard) {
    const blocks = Array.from({ length: Math.min(blocksPerShard, numBlocks - start) }, (_, i) =>
      block(model, start + i),
    )
    shards.push(Object.assign({}, ...blocks) as Record<string, Tensor>)
  }
  const nameOf = (i: number) =>
    `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`
  const weightMap = Object.fromEntries(
    shards.flatMap((shard, i) => Object.keys(shard).map((name) => [name, nameOf(i)])),
  )
  return new Map([
    ['.gitattributes', Buffer.from('*.safetensors filter=lfs')],
    ['README.md', Buffer.from('# Tiny')],
    ['config.json', Buffer.from(JSON.stringify(configOf(model)))],
    ['generation_config.json', Buffer.from('{"eos_token_id": 1}')],
    ['tokenizer_config.json', Buffer.from('{}')],
    ['model.safetensors.index.json', Buffer.from(JSON.stringify({ metadata: {}, weight_map: weightMap }))],
    ...shards.map((shard, i): [string, Buffer] => [nameOf(i), safetensorsBytes(shard, { format: 'pt' })]),
  ])
}

function configOf({ hiddenSize, intermediateSize, numBlocks }: TinyModel): Record<string, unknown> {
  return {
    model_type: 'llama',
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: numBlocks,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: VOCAB,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-6,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    eos_token_id: 1,
    bos_token_id: 0,
  }
}

function block({ hiddenSize: h, intermediateSize: m }: TinyModel, number: number): Record<string, Tensor> {
  const shapes: Record<string, number[]> = {
    input_layernorm: [h],
    'self_attn.q_proj': [h, h],
    'self_attn.k_proj': [h / 2, h],
    'self_attn.v_proj': [h / 2, h],
    'self_attn.o_proj': [h, h],
    post_attention_layernorm: [h],
    'mlp.gate_proj': [m, h],
    'mlp.up_proj': [m, h],
    'mlp.down_proj': [h, m],
  }
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      `model.layers.${number}.${name}.weight`,
      noise(shape, 100 + number * 16 + i),
    ]),
  )
}

function noise(shape: readonly number[], seed: number): Tensor {
  const key = Buffer.alloc(16)
  key.writeUInt32LE(seed)
  return {
    dtype: 'bfloat16',
    shape,
    data: createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(byteLength('bfloat16', shape))),
  }
}

/** Settings with an empty home of their own. */
export async function freshSettings(
  context: TestContext,
  hub: Pick<StandInHub, 'endpoint'>,
  over: Partial<HubSettings> = {},
): Promise<HubSettings> {
  const home = await temporaryFolder(context)
  return { ...hubSettings({ HF_HOME: home, HF_ENDPOINT: hub.endpoint }), retryDelayMs: 1, ...over }
}

/** A tensor's bytes as stored, read where its slice points. */
export function bytesOf(checkpoint: Checkpoint, name: string): Buffer {
  const chunks: Buffer[] = []
  readChunks(checkpoint.tensors.get(name)!, (chunk) => chunks.push(Buffer.from(chunk)))
  return Buffer.concat(chunks)
}

/** A tensor's bytes in the hub's files. */
export function bytesOnHub(hub: StandInHub, name: string): Buffer {
  const index = JSON.parse(hub.files.get('model.safetensors.index.json')!.toString()) as {
    weight_map: Record<string, string>
  }
  const file = hub.files.get(index.weight_map[name]!)!
  const length = Number(file.readBigUInt64LE())
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const [start, end] = header[name]!.data_offsets
  return file.subarray(8 + length + start, 8 + length + end)
}

/** Every plain file below a folder, with its size. */
export async function filesBelow(folder: string): Promise<Map<string, number>> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const sizes = await Promise.all(
    names.map(async (name) => [name, await stat(join(folder, name)).catch(() => undefined)] as const),
  )
  return new Map(sizes.flatMap(([name, stats]) => (stats?.isFile() === true ? [[name, stats.size]] : [])))
}

export async function readText(...path: string[]): Promise<string> {
  return readFile(join(...path), 'utf8')
}
