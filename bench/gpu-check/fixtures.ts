import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../src/checkpoint/config/config.ts'
import { readTensor } from '../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../src/checkpoint/weights/safetensors.ts'
import { Engine } from '../../src/engine/engine.ts'
import { blockGraphs } from '../../src/families/graphs.ts'
import type { Device } from '../../src/runtime/device.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'

/** A fixture in one dtype: the largest error of the last block's output, and what it may be. */
export interface FixtureResult {
  readonly fixture: string
  readonly dtype: FloatDType
  readonly error: number
  readonly limit: number
  /** Whether the blocks are right one by one only, each from the reference's input. */
  readonly byBlock: boolean
}

/** float32 is compared as it is; 16 bits by the size of the reference's largest value. */
const TOLERANCES: Record<FloatDType, { readonly absolute: number; readonly relative: number }> = {
  float32: { absolute: 1e-4, relative: 0 },
  float16: { absolute: 0, relative: 1e-2 },
  bfloat16: { absolute: 0, relative: 5e-2 },
}

const FOLDER = new URL('../../test/fixtures', import.meta.url).pathname

/** The folders of the small models whose reference outputs were made with transformers. */
export function fixtureNames(): string[] {
  return readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
}

/**
 * Runs a fixture's two sequences through all blocks at once, each prefilled in chunks and then stepped together with
 * the other, and compares with the reference. In 16 bits a model with experts that is wrong as a whole is compared
 * block by block: an error of an earlier block may choose other experts where two are about as good. Throws what the
 * engine throws.
 */
export async function checkFixture(fixture: string, device: Device, dtype: FloatDType): Promise<FixtureResult> {
  const folder = join(FOLDER, fixture)
  const checkpoint = await openCheckpoint(folder)
  const { numBlocks, hiddenSize } = checkpoint.config
  const slices = await readSafetensorsHeader(join(folder, 'golden.safetensors'))
  const golden = (name: string) =>
    asFloat32(
      readTensor(
        slices.find((slice) => slice.name === name)!,
        'float32',
      ),
    )
  const outputOf = (block: number) => golden(`block${block}_output`)
  const inputOf = (block: number) => (block === 0 ? golden('block0_input') : outputOf(block - 1))
  const [sequences = 0, tokens = 0] = slices.find(({ name }) => name === 'block0_input')!.shape

  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device,
    dtype,
    threads: 1,
    spin: false,
    cacheTokens: 1024,
    prefillChunkTokens: 4,
  })
  try {
    const rows = (values: Float32Array, sequence: number, from: number, to: number) =>
      values.subarray((sequence * tokens + from) * hiddenSize, (sequence * tokens + to) * hiddenSize)
    const errorOf = async (start: number, end: number): Promise<number> => {
      const [input, expected] = [inputOf(start), outputOf(end - 1)]
      const errors = Array.from({ length: sequences }, async (_, sequence) => {
        const session = await engine.openSession({ start, end, maxLength: tokens, timeoutMs: 0 })
        let worst = 0
        for (const to of [6, ...Array.from({ length: tokens - 6 }, (__, i) => 7 + i)]) {
          const from = session.position
          const hidden: Tensor = convert(
            fromFloat32(rows(input, sequence, from, to).slice(), [to - from, hiddenSize]),
            dtype,
          )
          const output = asFloat32(convert(await session.step(hidden), 'float32'))
          worst = Math.max(worst, largestError(output, rows(expected, sequence, from, to)))
        }
        session.release()
        return worst
      })
      return Math.max(...(await Promise.all(errors)))
    }
    const { absolute, relative } = TOLERANCES[dtype]
    const limit = absolute + relative * largest(outputOf(numBlocks - 1))
    const whole = { fixture, dtype, error: await errorOf(0, numBlocks), limit, byBlock: false }
    if (whole.error < limit || dtype === 'float32' || !hasExperts(checkpoint.config)) return whole
    let error = 0
    for (let block = 0; block < numBlocks; block++) error = Math.max(error, await errorOf(block, block + 1))
    return { ...whole, error, byBlock: true }
  } finally {
    await engine.close()
  }
}

function hasExperts(config: ModelConfig): boolean {
  const graphs = blockGraphs(config, { device: 'cpu', dtype: 'float32' })
  return graphs.some(({ nodes }) => nodes.some(({ op }) => op === 'MoE' || op === 'QMoE'))
}

/** Infinity where a value is not finite: NaN would pass every comparison. */
function largestError(actual: Float32Array, expected: Float32Array): number {
  let worst = 0
  for (const [i, value] of actual.entries())
    worst = Math.max(worst, Number.isFinite(value) ? Math.abs(value - expected[i]!) : Infinity)
  return worst
}

function largest(values: Float32Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
}
