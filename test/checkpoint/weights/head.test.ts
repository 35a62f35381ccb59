import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { modelKey } from '../../../src/checkpoint/model-key.ts'
import { endsTensorNames } from '../../../src/engine/loading/tensor-names.ts'
import { convert } from '../../../src/tensor/convert.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { readTensors } from '../../families/support.ts'
import { temporaryFolder, writeSafetensors } from '../write.ts'

const OWN_HEAD = join(import.meta.dirname, '../../fixtures-checkpoints/tied-llama')
const EMBEDDING = 'model.embed_tokens.weight'
const HEAD = 'lm_head.weight'

type Stored = Record<string, Tensor>

/** The llama whose config ties a head that its file has as well, with other tensors. */
async function withTensors(context: TestContext, edit: (stored: Stored) => Stored): Promise<Checkpoint> {
  const folder = await temporaryFolder(context)
  await cp(OWN_HEAD, folder, { recursive: true })
  const stored = Object.fromEntries(await readTensors(join(OWN_HEAD, 'model.safetensors')))
  await writeSafetensors(join(folder, 'model.safetensors'), edit(stored))
  return openCheckpoint(folder)
}

function without(stored: Stored, name: string): Stored {
  return Object.fromEntries(Object.entries(stored).filter(([other]) => other !== name))
}

function changedAt(tensor: Tensor, index: number): Tensor {
  const data = new Float32Array(tensor.data.slice().buffer)
  data[index] = data[index]! + 1e-6
  return { ...tensor, data: new Uint8Array(data.buffer) }
}

function filled({ shape, data }: Tensor, value: number): Tensor {
  return { dtype: 'float32', shape, data: new Uint8Array(new Float32Array(data.length / 4).fill(value).buffer) }
}

describe('a head that config.json ties to the embedding', () => {
  it('is what the file holds, even if it differs in the last value only, and the key follows', async (context) => {
    const own = await openCheckpoint(OWN_HEAD)
    assert.equal(own.config.tiedEmbeddings, false)
    assert.match(own.notes.join(), /hold another head/)
    assert.ok(endsTensorNames(own).includes(HEAD))
    const tied = await withTensors(context, (stored) => without(stored, HEAD))
    assert.equal(tied.config.tiedEmbeddings, true)
    assert.deepEqual(tied.notes, [])
    assert.notEqual(await modelKey(own), await modelKey(tied))
    const last = await withTensors(context, (stored) => ({
      ...stored,
      [HEAD]: changedAt(stored[EMBEDDING]!, stored[EMBEDDING]!.data.length / 4 - 1),
    }))
    assert.equal(last.config.tiedEmbeddings, false)
  })

  it('is the embedding where the file holds that twice, under any prefix, in any float type', async (context) => {
    const key = await modelKey(await withTensors(context, (stored) => without(stored, HEAD)))
    const twice: ((stored: Stored) => Stored)[] = [
      (stored) => ({ ...stored, [HEAD]: stored[EMBEDDING]! }),
      (stored) => ({ ...without(stored, HEAD), [`language_model.${HEAD}`]: stored[EMBEDDING]! }),
    ]
    for (const edit of twice) {
      const checkpoint = await withTensors(context, edit)
      assert.equal(checkpoint.config.tiedEmbeddings, true)
      assert.equal(await modelKey(checkpoint), key)
    }
    const halves = await withTensors(context, (stored) => {
      const half = convert(stored[EMBEDDING]!, 'float16')
      return { ...stored, [EMBEDDING]: convert(half, 'float32'), [HEAD]: half }
    })
    assert.equal(halves.config.tiedEmbeddings, true)
    const signs = await withTensors(context, (stored) => ({
      ...stored,
      [EMBEDDING]: filled(stored[EMBEDDING]!, 0),
      [HEAD]: filled(stored[EMBEDDING]!, -0),
    }))
    assert.equal(signs.config.tiedEmbeddings, true)
  })

  it('is found under a prefix, and in another shard than the embedding', async (context) => {
    const prefixed = await withTensors(context, (stored) => ({
      ...without(stored, HEAD),
      [`language_model.${HEAD}`]: stored[HEAD]!,
    }))
    assert.equal(prefixed.config.tiedEmbeddings, false)
    const folder = await temporaryFolder(context)
    await cp(join(OWN_HEAD, 'config.json'), join(folder, 'config.json'))
    const stored = Object.fromEntries(await readTensors(join(OWN_HEAD, 'model.safetensors')))
    await writeSafetensors(join(folder, 'a.safetensors'), without(stored, HEAD))
    await writeSafetensors(join(folder, 'b.safetensors'), { [HEAD]: stored[HEAD]! })
    const places = Object.keys(stored).map((name) => [name, name === HEAD ? 'b.safetensors' : 'a.safetensors'])
    const index = { weight_map: Object.fromEntries(places) as object }
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
    const sharded = await openCheckpoint(folder)
    assert.equal(sharded.config.tiedEmbeddings, false)
    assert.equal(await modelKey(sharded), await modelKey(await openCheckpoint(OWN_HEAD)))
  })

  it('is the embedding as well where the file holds the head alone', async (context) => {
    const alone = await withTensors(context, (stored) => without(stored, EMBEDDING))
    assert.equal(alone.config.tiedEmbeddings, true)
    const same = await withTensors(context, (stored) => ({ ...without(stored, HEAD), [EMBEDDING]: stored[HEAD]! }))
    assert.equal(await modelKey(alone), await modelKey(same))
    assert.ok(endsTensorNames(alone).length > 0)
  })

  it('is missed where neither is there', async (context) => {
    const neither = await withTensors(context, (stored) => without(without(stored, HEAD), EMBEDDING))
    assert.throws(() => endsTensorNames(neither), { code: 'CHECKPOINT_MISSING_TENSOR', message: /embed_tokens/ })
  })

  it('is refused by its shape, or its type, where it is another', async (context) => {
    const short = await withTensors(context, (stored) => ({
      ...stored,
      [HEAD]: { dtype: 'float32', shape: [1, 16], data: new Uint8Array(64) },
    }))
    assert.throws(() => endsTensorNames(short), { code: 'CHECKPOINT_SHAPE', message: /lm_head/ })
    const packed = await withTensors(context, (stored) => ({
      ...stored,
      [HEAD]: { dtype: 'uint8', shape: stored[HEAD]!.shape, data: new Uint8Array(stored[HEAD]!.data.length / 4) },
    }))
    assert.throws(() => endsTensorNames(packed), { code: 'CHECKPOINT_DTYPE', message: /lm_head/ })
  })

  it('is found under the name that its family has for it', async (context) => {
    const folder = await temporaryFolder(context)
    await cp(join(import.meta.dirname, '../../fixtures/gpt-neox'), folder, { recursive: true })
    const file = join(folder, 'config.json')
    const config = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...config, tie_word_embeddings: true }))
    const checkpoint = await openCheckpoint(folder)
    assert.ok(checkpoint.tensors.has('embed_out.weight'))
    assert.equal(checkpoint.config.tiedEmbeddings, false)
  })

  it('has its own config.json left as it is', async () => {
    const { config } = await openCheckpoint(OWN_HEAD)
    const own = JSON.parse(await readFile(join(OWN_HEAD, 'config.json'), 'utf8')) as unknown
    assert.deepEqual(config.raw, own)
  })
})
