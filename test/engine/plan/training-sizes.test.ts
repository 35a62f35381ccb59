import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseConfig } from '../../../src/checkpoint/config/config.ts'
import { canTrain, defaultTrainingBytes, planTraining } from '../../../src/engine/plan/plan-training.ts'

const CONFIG = parseConfig(
  {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 1024,
    intermediate_size: 2816,
    vocab_size: 1000,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    max_position_embeddings: 8192,
    torch_dtype: 'bfloat16',
  },
  'config.json',
)
const CPU = { device: 'cpu', dtype: 'float32' } as const
const [GB, MB] = [1e9, 1e6]

const plan = (bytes: number, end = CONFIG.numBlocks) =>
  planTraining(CONFIG, CPU, { start: 0, end, bytes, pieceTokens: 256 })

describe('memory for training', () => {
  it('grows with the chunk of blocks that is held at once, not with the span', () => {
    const { sizes } = plan(300 * MB)
    const spans = [1, 2, 4, 8]
    /** The least memory in which two sequences are one group, with so many blocks at once. */
    const least = (blocks: number, atOnce: number): number => {
      for (let bytes = 10 * MB; ; bytes += MB) {
        const found = sizes.divide({ blocks, sequences: 2, tokens: 256, ranks: 0 }, bytes)
        if (found?.groupRows === 2 && found.chunkBlocks >= atOnce) return bytes
      }
    }
    const hiddenBytes = 2 * 256 * 1024 * 4
    const [whole, single] = [spans.map((blocks) => least(blocks, blocks)), spans.map((blocks) => least(blocks, 1))]
    for (const [i, blocks] of spans.slice(1).entries()) {
      const more = blocks - spans[i]!
      assert.ok(whole[i + 1]! - whole[i]! > 4 * more * hiddenBytes, whole.join())
      // Of each further block only its input.
      assert.ok(single[i + 1]! - single[i]! <= more * hiddenBytes + MB, single.join())
    }
  })

  it('holds more blocks at once the more there is, and never less than one sequence', () => {
    const { sizes } = plan(GB)
    let last = { chunkBlocks: 0, groupRows: 0 }
    for (let bytes = 20 * MB; bytes < 2 * GB; bytes *= 1.3) {
      const division = sizes.divide({ blocks: 16, sequences: 64, tokens: 64, ranks: 8 }, bytes)
      if (division === undefined) continue
      const { chunkBlocks, groupRows, pieceRows } = division
      assert.ok(chunkBlocks >= last.chunkBlocks, JSON.stringify([last, division]))
      assert.ok(pieceRows <= 4 && groupRows <= 32 && groupRows >= pieceRows, JSON.stringify(division))
      last = division
    }
    assert.deepEqual(last, { chunkBlocks: 16, groupRows: 32, pieceRows: 4 })
    assert.equal(sizes.divide({ blocks: 16, sequences: 1, tokens: 4096, ranks: 0 }, 100 * MB), undefined)
  })

  it('takes sequences as long as it says and no longer', () => {
    for (const bytes of [100 * MB, 400 * MB, 2 * GB]) {
      const { maxTokens, activationBytes, pinnedBytes, sizes } = plan(bytes)
      assert.ok(maxTokens > 0 && maxTokens < CONFIG.maxLength, `${bytes}: ${maxTokens}`)
      assert.ok(activationBytes + pinnedBytes + sizes.blockBytes <= bytes)
      const divide = (tokens: number) =>
        sizes.divide({ blocks: 16, sequences: 3, tokens, ranks: 64 }, activationBytes)?.chunkBlocks
      assert.deepEqual([divide(maxTokens), divide(maxTokens + 1)], [1, undefined])
    }
  })

  it('is by default what sequences of 1024 tokens take, an eighth of the memory at most, and else none', () => {
    const wanted = defaultTrainingBytes(CONFIG, CPU, 100 * GB)
    assert.ok(plan(wanted).maxTokens >= 1024)
    assert.equal(defaultTrainingBytes(CONFIG, CPU, 1.6 * GB), 0.2 * GB)
    assert.equal(defaultTrainingBytes(CONFIG, CPU, 100 * MB), 0)
    const gpu = { device: 'cuda', dtype: 'bfloat16' } as const
    assert.equal(canTrain(gpu), false)
    assert.equal(defaultTrainingBytes(CONFIG, gpu, 100 * GB), 0)
  })
})
