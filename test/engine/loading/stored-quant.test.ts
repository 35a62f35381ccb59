import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { readBytes, readTensor } from '../../../src/checkpoint/weights/read.ts'
import type { Float8Quant, PackedQuant } from '../../../src/checkpoint/config/stored-quant.ts'
import {
  computeBlock,
  type StoredValues,
  unpackMatrix,
  type UnpackedMatrix,
  widenFloat8,
} from '../../../src/checkpoint/weights/unpack.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { CPU } from '../../../src/runtime/device.ts'
import type { Quantization } from '../../../src/tensor/quantize.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../../src/tensor/tensor.ts'
import { spanTensorNames } from '../../../src/engine/loading/tensor-names.ts'
import { seededRandom, temporaryFolder, writeSafetensors } from '../../checkpoint/write.ts'
import { floats, loadFixture, maxError, readTensors } from '../../families/support.ts'

const FOLDER = join(import.meta.dirname, '../../fixtures-stored')
const TOKENS = 5

function nibble(bytes: Uint8Array, i: number): number {
  return (bytes[i >> 1]! >> ((i % 2) * 4)) & 15
}

/** By the definition: (code - zero) * scale. */
function plain(
  { codes, scales, zeros }: UnpackedMatrix,
  { bits }: PackedQuant,
  block: number,
  [out, inner]: readonly [number, number],
): Float32Array {
  const blocks = inner / block
  return Float32Array.from({ length: out * inner }, (_, i) => {
    const row = Math.floor(i / inner),
      at = Math.floor((i % inner) / block)
    const code =
      bits === 8
        ? codes[i]! - 128
        : nibble(codes, i) - (zeros === undefined ? 8 : nibble(zeros, row * 2 * Math.ceil(blocks / 2) + at))
    return code * scales[row * blocks + at]!
  })
}

async function outputs(checkpoint: Checkpoint, quant: Quantization = 'none'): Promise<Float32Array> {
  const { hiddenSize } = checkpoint.config
  const random = seededRandom(3)
  const hidden = fromFloat32(
    Float32Array.from({ length: TOKENS * hiddenSize }, () => 2 * random() - 1),
    [1, TOKENS, hiddenSize],
  )
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: 1,
    device: CPU,
    dtype: 'float32',
    quant,
    threads: 1,
    spin: false,
    cacheTokens: 64,
  })
  try {
    return asFloat32(
      await engine.forward({ ...hidden, data: hidden.data.slice() }, { start: 0, end: 1, timeoutMs: 60_000 }),
    )
  } finally {
    await engine.close()
  }
}

/** The llama that a fixture was made from, with what its weights mean in float32. */
async function plainCheckpoint(name: string, context: TestContext): Promise<Checkpoint> {
  const folder = await temporaryFolder(context)
  await cp(join(FOLDER, name), folder, { recursive: true })
  const file = join(folder, 'config.json')
  await writeFile(
    file,
    JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), quantization_config: undefined }),
  )
  const { weights } = await loadFixture('llama')
  const outside = [...weights].filter(([tensor]) => !tensor.includes('layers.'))
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    Object.fromEntries([...outside, ...(await readTensors(join(FOLDER, name, 'plain.safetensors')))]),
  )
  return openCheckpoint(folder)
}

/** What a config says about the order of weights, and the group of weight i of n. */
type Asked = { readonly desc_act?: boolean; readonly actorder?: string }
type GroupOf = (i: number, n: number) => number

const OTHER_ORDER = { code: 'CHECKPOINT_FORMAT', message: /g_idx in .* puts weight \d+ of a row into group/ }
const MISSING = { code: 'CHECKPOINT_MISSING_TENSOR', message: /g_idx/ }

/** A fixture whose layers store the groups of their weights, or do not. */
async function withOrder(
  name: string,
  asked: Asked,
  groupOf: GroupOf | undefined,
  context: TestContext,
): Promise<Checkpoint> {
  const suffix = name === 'gptq' ? 'g_idx' : 'weight_g_idx'
  const all = await readTensors(join(FOLDER, name, 'model.safetensors'))
  const stored = Object.fromEntries([...all].filter(([tensor]) => !tensor.endsWith('.g_idx')))
  const plainTensors = await readTensors(join(FOLDER, name, 'plain.safetensors'))
  for (const [tensor, { shape }] of plainTensors) {
    const inner = shape[1]
    if (inner === undefined || groupOf === undefined) continue
    const groups = Int32Array.from({ length: inner }, (_, i) => Math.floor(groupOf(i, inner)))
    stored[tensor.replace(/weight$/, suffix)] = { dtype: 'int32', shape: [inner], data: new Uint8Array(groups.buffer) }
  }
  const folder = await temporaryFolder(context)
  await writeSafetensors(join(folder, 'model.safetensors'), stored)
  const text = await readFile(join(FOLDER, name, 'config.json'), 'utf8')
  const { desc_act: descAct, actorder } = asked
  const config = text
    .replace(/"desc_act": false,/, descAct === undefined ? '' : `"desc_act": ${descAct},`)
    .replace(/"num_bits": 4,/, `$&${actorder === undefined ? '' : ` "actorder": "${actorder}",`}`)
  await writeFile(join(folder, 'config.json'), config)
  return openCheckpoint(folder)
}

/** A fixture with other tensors, in a folder of its own. */
async function edited(
  context: TestContext,
  name: string,
  edit: (stored: Map<string, Tensor>) => void,
): Promise<string> {
  const folder = await temporaryFolder(context)
  await cp(join(FOLDER, name), folder, { recursive: true })
  const stored = new Map(await readTensors(join(FOLDER, name, 'model.safetensors')))
  edit(stored)
  await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(stored))
  return folder
}

describe('a checkpoint that was quantized before', () => {
  for (const name of readdirSync(FOLDER)) {
    it(`means what ${name} says, to the bit, and is computed with as it is`, async (context) => {
      const checkpoint = await openCheckpoint(join(FOLDER, name))
      const quant = checkpoint.config.storedQuant as PackedQuant | Float8Quant
      const exact = await readTensors(join(FOLDER, name, 'plain.safetensors'))
      for (const [
        tensor,
        {
          shape: [out = 0, inner = 0],
        },
      ] of exact) {
        if (inner === 0) continue
        const module = tensor.replace(/\.weight$/, '')
        const stored: StoredValues = {
          bytes: (piece) => readBytes(checkpoint.tensors.get(`${module}.${piece}`)!),
          floats: (piece) => asFloat32(readTensor(checkpoint.tensors.get(`${module}.${piece}`)!, 'float32')),
        }
        const found =
          quant.method === 'fp8'
            ? asFloat32(widenFloat8(quant, [out, inner], stored))
            : plain(unpackMatrix(quant, [out, inner], stored), quant, computeBlock(quant, inner), [out, inner])
        assert.equal(maxError(found, floats(exact, tensor)), 0, tensor)
      }
      const expected = await outputs(await plainCheckpoint(name, context))
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
      // The kernels for integers round activations.
      assert.ok(maxError(await outputs(checkpoint), expected) < (quant.method === 'fp8' ? 1e-5 : 0.03) * largest)
    })
  }

  it('is not rounded again; fp8 may be', async () => {
    await assert.rejects(
      openCheckpoint(join(FOLDER, 'gptq')).then((checkpoint) => outputs(checkpoint, 'int8')),
      { code: 'GRAPH_UNSUPPORTED', message: /quantized already: leave --quant away/ },
    )
    const checkpoint = await openCheckpoint(join(FOLDER, 'float8-block'))
    const [full, int8] = [await outputs(checkpoint), await outputs(checkpoint, 'int8')]
    const error = maxError(full, int8)
    assert.ok(error > 1e-4 && error < 0.1, `${error}`)
  })

  const orders: [what: string, name: string, asked: Asked, groupOf: GroupOf | undefined, error: object | undefined][] =
    [
      ['gptq of another order, whatever desc_act says', 'gptq', {}, (i, n) => (n - 1 - i) / 32, OTHER_ORDER],
      [
        'gptq of one exchanged pair',
        'gptq',
        { desc_act: false },
        (i) => (i === 31 ? 1 : i === 32 ? 0 : i / 32),
        OTHER_ORDER,
      ],
      ['gptq with desc_act and the natural order', 'gptq', { desc_act: true }, (i) => i / 32, undefined],
      ['gptq without any order', 'gptq', {}, undefined, undefined],
      ['gptq with desc_act and no order', 'gptq', { desc_act: true }, undefined, MISSING],
      ['packed integers of another order', 'packed', {}, (i, n) => (n - 1 - i) / 32, OTHER_ORDER],
      ['packed integers with actorder and another order', 'packed', { actorder: 'group' }, (i) => i % 2, OTHER_ORDER],
      [
        'packed integers with actorder and the natural order',
        'packed',
        { actorder: 'group' },
        (i) => i / 32,
        undefined,
      ],
      ['packed integers with an order that was never filled in', 'packed', { actorder: 'group' }, () => -1, undefined],
      ['packed integers with actorder of weights', 'packed', { actorder: 'weight' }, undefined, undefined],
      ['packed integers with actorder and no order', 'packed', { actorder: 'group' }, undefined, MISSING],
    ]
  for (const [what, name, asked, groupOf, error] of orders) {
    it(`${error === undefined ? 'is computed with' : 'is refused'}: ${what}`, async (context) => {
      const checkpoint = await withOrder(name, asked, groupOf, context)
      if (error !== undefined) return assert.rejects(outputs(checkpoint), error)
      const expected = await outputs(await openCheckpoint(join(FOLDER, name)))
      assert.equal(maxError(await outputs(checkpoint), expected), 0)
    })
  }

  it('may store biases of zeros that the model has not, but no others', async (context) => {
    const withBias = (value: number) =>
      edited(context, 'gptq', (stored) => {
        for (const module of ['self_attn.q_proj', 'mlp.down_proj']) {
          const [, out = 0] = stored.get(`model.layers.0.${module}.scales`)!.shape
          stored.set(`model.layers.0.${module}.bias`, fromFloat32(new Float32Array(out).fill(value), [out]))
        }
      })
    const checkpoint = await openCheckpoint(await withBias(-0))
    assert.ok(spanTensorNames(checkpoint, 0, 1).includes('model.layers.0.mlp.down_proj.bias'))
    assert.equal(maxError(await outputs(checkpoint), await outputs(await openCheckpoint(join(FOLDER, 'gptq')))), 0)
    await assert.rejects(
      withBias(1e-3).then(async (folder) => outputs(await openCheckpoint(folder))),
      { code: 'CHECKPOINT_UNUSED_TENSOR', message: /q_proj\.bias, a bias that is not zero/ },
    )
  })

  it('is refused where a linear layer was left as it was, whatever its config lists', async (context) => {
    const folder = await edited(context, 'float8-channel', (stored) => {
      const { shape } = stored.get('model.layers.0.mlp.up_proj.weight')!
      stored.set('model.layers.0.mlp.up_proj.weight', fromFloat32(new Float32Array(shape[0]! * shape[1]!), shape))
      stored.delete('model.layers.0.mlp.up_proj.weight_scale')
    })
    await assert.rejects(openCheckpoint(folder), {
      code: 'CHECKPOINT_CONFIG',
      message: /leaves out linear layers \(model\.layers\.0\.mlp\.up_proj\)/,
    })
  })

  it('needs as many scales as its strategy says', async (context) => {
    const folder = await edited(context, 'float8-tensor', (stored) => {
      stored.set('model.layers.0.mlp.up_proj.weight_scale', fromFloat32(Float32Array.of(1, 2), [2]))
    })
    const checkpoint = await openCheckpoint(folder)
    assert.throws(() => spanTensorNames(checkpoint, 0, 1), {
      code: 'CHECKPOINT_SHAPE',
      message: /up_proj\.weight_scale \[2,1\] instead of \[1,1\]/,
    })
  })
})
