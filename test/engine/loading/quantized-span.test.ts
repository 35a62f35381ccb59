import assert from 'node:assert/strict'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { linearFormat } from '../../../src/graph/lowering.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { convert } from '../../../src/tensor/convert.ts'
import { type Quantization, quantizedSizes, quantizeRows } from '../../../src/tensor/quantize.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../../src/tensor/tensor.ts'
import { seededRandom, temporaryFolder, writeSafetensors } from '../../checkpoint/write.ts'
import { loadFixture, maxError } from '../../families/support.ts'
import { dequantize } from '../../tensor/dequantize.ts'

const FIXTURES = join(import.meta.dirname, '../../fixtures')
const TOKENS = 7

type Rounding = Exclude<Quantization, 'none'>

/** Shares of the largest output. int8 and int4 round activations, too; experts and NF4 do not. */
const TOLERANCE: Record<Rounding, number> = { nf4: 1e-5, int8: 0.03, int4: 0.03 }

async function outputs(
  checkpoint: Checkpoint,
  quant: Quantization,
  quantCache?: string,
  onWarning?: (warning: string) => void,
): Promise<Float32Array> {
  const { numBlocks, hiddenSize } = checkpoint.config
  const random = seededRandom(3)
  const hidden = fromFloat32(
    Float32Array.from({ length: TOKENS * hiddenSize }, () => 2 * random() - 1),
    [1, TOKENS, hiddenSize],
  )
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device: CPU,
    dtype: 'float32',
    quant,
    quantCache,
    onWarning,
    threads: 1,
    spin: false,
    cacheTokens: 64,
  })
  try {
    return asFloat32(
      await engine.forward({ ...hidden, data: hidden.data.slice() }, { start: 0, end: numBlocks, timeoutMs: 60_000 }),
    )
  } finally {
    await engine.close()
  }
}

/** A checkpoint whose linear layers hold what the format makes of them. */
async function rounded(name: string, format: Rounding, context: TestContext): Promise<Checkpoint> {
  const folder = await temporaryFolder(context)
  await cp(join(FIXTURES, name), folder, { recursive: true })
  const { weights } = await loadFixture(name)
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    Object.fromEntries([...weights].map(([name, tensor]) => [name, roundWeight(name, tensor, format)])),
  )
  return openCheckpoint(folder)
}

function roundWeight(name: string, tensor: Tensor, format: Rounding): Tensor {
  const {
    shape: [rows, columns],
    shape,
  } = tensor
  if (
    !/\b(layers|h)\.\d+\./.test(name) ||
    rows === undefined ||
    columns === undefined ||
    /gate\.weight$|router/.test(name)
  )
    return tensor
  const kept = /experts/.test(name) ? format : linearFormat({ device: 'cpu', quant: format })!
  const { blocks, codeBytes } = quantizedSizes(kept, rows, columns)
  const matrix = { codes: new Uint8Array(codeBytes), scales: new Float32Array(blocks) }
  quantizeRows(kept, asFloat32(convert(tensor, 'float32')), columns, matrix)
  return fromFloat32(dequantize(kept, matrix, rows, columns), shape)
}

describe('a quantized span computes what a span of the rounded weights does', () => {
  for (const [name, formats] of [
    ['llama', ['int8', 'nf4', 'int4']],
    ['falcon-40b', ['int8', 'nf4', 'int4']],
    ['llama-head20', ['int8', 'nf4', 'int4']],
    ['gpt-neox', ['int8', 'nf4', 'int4']],
    ['mixtral', ['int8', 'int4']],
  ] as const) {
    let unquantized: Promise<Float32Array> | undefined
    for (const format of formats) {
      it(`${name} in ${format}`, async (context) => {
        const checkpoint = await openCheckpoint(join(FIXTURES, name))
        const [actual, expected, exact] = await Promise.all([
          outputs(checkpoint, format),
          rounded(name, format, context).then((checkpoint) => outputs(checkpoint, 'none')),
          (unquantized ??= outputs(checkpoint, 'none')),
        ])
        const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        assert.ok(
          maxError(actual, expected) < TOLERANCE[format] * largest,
          `error ${maxError(actual, expected) / largest} of the largest output`,
        )
        assert.ok(maxError(actual, exact) > 1e-4, 'nothing was quantized')
      })
    }
  }

  it('refuses experts in nf4, which no kernel reads, and of widths that are not whole blocks', async () => {
    await assert.rejects(
      openCheckpoint(join(FIXTURES, 'mixtral')).then((checkpoint) => outputs(checkpoint, 'nf4')),
      { code: 'GRAPH_UNSUPPORTED', message: /experts in nf4.*--quant int4/ },
    )
    await assert.rejects(
      openCheckpoint(join(FIXTURES, 'qwen3-moe')).then((checkpoint) => outputs(checkpoint, 'int4')),
      { code: 'GRAPH_UNSUPPORTED', message: /multiples of 32/ },
    )
  })
})

it('quantized matrices are kept on disk if asked, and taken from there; damaged files are remade', async (context) => {
  const folder = await temporaryFolder(context)
  for (const [name, format] of [
    ['llama', 'int4'],
    ['llama', 'nf4'],
    ['mixtral', 'int8'],
  ] as const) {
    const checkpoint = await openCheckpoint(join(FIXTURES, name))
    const quantCache = join(folder, name, format)
    const expected = await outputs(checkpoint, format)
    assert.deepEqual(await outputs(checkpoint, format, quantCache), expected)
    const kept = await readdir(quantCache)
    const files = kept.filter((file) => file.endsWith('.safetensors')).map((file) => join(quantCache, file))
    assert.equal(files.length, checkpoint.config.numBlocks)
    assert.deepEqual(await outputs(checkpoint, format, quantCache), expected)
    // What lies there is what is used.
    const bytes = await readFile(files[0]!)
    await writeFile(files[0]!, Buffer.concat([bytes.subarray(0, bytes.length - 64), bytes.subarray(-64).fill(0x11)]))
    assert.notDeepEqual(await outputs(checkpoint, format, quantCache), expected)
    await writeFile(files[0]!, bytes.subarray(0, 100))
    assert.deepEqual(await outputs(checkpoint, format, quantCache), expected)
    assert.equal((await readFile(files[0]!)).length, bytes.length)
    assert.deepEqual(await readdir(quantCache), kept)
  }
  const llama = await openCheckpoint(join(FIXTURES, 'llama'))
  const file = (await readdir(join(folder, 'llama', 'int4'))).find((name) => name.endsWith('.safetensors'))
  const unwritable = join(folder, 'llama', 'int4', file!)
  await rm(unwritable)
  await mkdir(join(unwritable, 'in the way'), { recursive: true })
  const warnings: string[] = []
  const onWarning = (warning: string): void => void warnings.push(warning)
  assert.deepEqual(await outputs(llama, 'int4', join(folder, 'llama', 'int4'), onWarning), await outputs(llama, 'int4'))
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /safetensors cannot be written: .*: the next start quantizes anew/)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(outputs(await openCheckpoint(join(FIXTURES, 'llama')), 'int8', join(folder, 'file')), {
    code: 'QUANT_CACHE',
  })
})
