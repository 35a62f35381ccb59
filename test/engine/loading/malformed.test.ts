import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { openAdapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { spanTensorNames } from '../../../src/engine/loading/tensor-names.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { seededRandom, temporaryFolder } from '../../checkpoint/write.ts'

const LLAMA = join(import.meta.dirname, '../../fixtures/llama'),
  ADAPTER = join(import.meta.dirname, '../../fixtures-adapters/llama-patterns')
/** Of each kind, in each run; runs have seeds of their own. */
const MUTATIONS = 200
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9))
const VALUES = [
  '0',
  '-1',
  '1',
  '2',
  '1e308',
  '4294967296',
  '9007199254740993',
  '0.5',
  'null',
  'true',
  '[]',
  '{}',
  '""',
  '"F32"',
  '"I64"',
  '[1,2]',
  '[0]',
  '[2,0]',
  '"x"',
  '"\\u0000"',
  '[[1]]',
  '-0',
]

/** Damages a JSON text: a value replaced, a piece cut out or doubled, bytes changed. */
function damageText(text: string, random: () => number): string {
  const at = (length: number) => Math.floor(random() * length)
  const kind = at(4)
  if (kind < 2) {
    const values = [...text.matchAll(/(?<=[:[,]\s*)(?:-?\d[\d.]*|"[^"]*"|true|false|null|\[[^[\]]*\]|\{[^{}]*\})/g)]
    const chosen = values[at(values.length)]
    if (chosen !== undefined)
      return text.slice(0, chosen.index) + VALUES[at(VALUES.length)]! + text.slice(chosen.index + chosen[0].length)
  }
  const from = at(text.length),
    length = 1 + at(20)
  if (kind === 2) return text.slice(0, from) + text.slice(from + length)
  return (
    text.slice(0, from) + String.fromCharCode(...Array.from({ length }, () => 32 + at(95))) + text.slice(from + length)
  )
}

/** Damages a safetensors file: its header, the header's length, or its size. */
function damageWeights(file: Buffer, random: () => number): Buffer {
  const length = Number(file.readBigUInt64LE())
  const header = file.subarray(8, 8 + length).toString(),
    data = file.subarray(8 + length)
  const kind = Math.floor(random() * 8)
  if (kind === 0) return file.subarray(0, Math.floor(random() * file.byteLength))
  const damaged = Buffer.from(kind === 1 ? header : damageText(header, random))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(kind === 1 ? BigInt(Math.floor(random() * 2 ** 53)) : BigInt(damaged.byteLength))
  return Buffer.concat([size, damaged, data])
}

/** A copy of a folder, of which each round damages one file of two. */
async function damaged(
  context: TestContext,
  source: string,
  [config, weights]: readonly [string, string],
  random: () => number,
): Promise<{ folder: string; damage: () => string }> {
  const folder = await temporaryFolder(context)
  await cp(source, folder, { recursive: true })
  const sound = { config: readFileSync(join(source, config), 'utf8'), weights: readFileSync(join(source, weights)) }
  return {
    folder,
    damage: () => {
      const ofConfig = random() < 0.5
      writeFileSync(join(folder, config), ofConfig ? damageText(sound.config, random) : sound.config)
      writeFileSync(join(folder, weights), ofConfig ? sound.weights : damageWeights(sound.weights, random))
      return ofConfig ? config : weights
    },
  }
}

/** What is wrong must be told by an error that is raised on purpose. Whether it was. */
async function refuses(work: () => Promise<void>, context: string): Promise<boolean> {
  try {
    await work()
    return false
  } catch (error) {
    assert.ok(
      error instanceof PetalsError && error.code !== 'INTERNAL',
      `${context}: ${error instanceof Error ? error.stack : String(error)}`,
    )
    return true
  }
}

test('damaged adapters are refused or work, and the span that was to take them goes on', async (context) => {
  const random = seededRandom(SEED)
  context.diagnostic(`seed ${SEED}`)
  const engine = await Engine.load({
    checkpoint: await openCheckpoint(LLAMA),
    start: 0,
    end: 3,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 512,
    adapterBytes: 1 << 20,
  })
  try {
    const hidden = fromFloat32(
      Float32Array.from({ length: 2 * 64 }, () => random() - 0.5),
      [1, 2, 64],
    )
    const run = async (adapter?: string) =>
      asFloat32(
        await engine.forward(
          { ...hidden, data: hidden.data.slice() },
          { start: 0, end: 3, adapter, timeoutMs: 60_000 },
        ),
      )
    const before = await run()
    const { folder, damage } = await damaged(
      context,
      ADAPTER,
      ['adapter_config.json', 'adapter_model.safetensors'],
      random,
    )
    let refused = 0
    for (let i = 0; i < MUTATIONS; i++) {
      const what = damage()
      const isRefused = await refuses(async () => {
        const adapter = { ...(await openAdapter(folder)), name: 'damaged' }
        engine.adapters.add(adapter)
        await run('damaged')
      }, `seed ${SEED}, mutation ${i} of ${what}`)
      if (isRefused) refused++
      assert.ok(engine.adapters.remove('damaged') || isRefused)
    }
    assert.deepEqual(await run(), before)
    assert.ok(refused > MUTATIONS / 4 && refused < MUTATIONS, `${refused} were refused`)
  } finally {
    await engine.close()
  }
})

test('damaged checkpoints are refused or work', async (context) => {
  const random = seededRandom(SEED + 1)
  const { folder, damage } = await damaged(context, LLAMA, ['config.json', 'model.safetensors'], random)
  let refused = 0,
    loaded = 0
  for (let i = 0; i < MUTATIONS; i++) {
    const what = damage()
    const isRefused = await refuses(async () => {
      const checkpoint = await openCheckpoint(folder)
      const { numBlocks, hiddenSize } = checkpoint.config
      spanTensorNames(checkpoint, 0, numBlocks)
      // Each load takes a tenth of a second.
      if (++loaded % 8 !== 0) return
      const engine = await Engine.load({
        checkpoint,
        start: 0,
        end: numBlocks,
        device: CPU,
        dtype: 'float32',
        threads: 1,
        spin: false,
        cacheTokens: 128,
      })
      try {
        await engine.forward(fromFloat32(new Float32Array(hiddenSize).fill(0.1), [1, 1, hiddenSize]), {
          start: 0,
          end: numBlocks,
          timeoutMs: 60_000,
        })
      } finally {
        await engine.close()
      }
    }, `seed ${SEED}, mutation ${i} of ${what}`)
    if (isRefused) refused++
  }
  assert.ok(refused > MUTATIONS / 4 && loaded > 0, `${refused} were refused, ${loaded} read`)
})
