import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../src/checkpoint/config/config.ts'
import { readTensor } from '../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../src/checkpoint/weights/safetensors.ts'
import { FLOAT32_TOLERANCE, SHARE_OF_LARGEST } from '../../src/client/verification/tolerance.ts'
import { Engine } from '../../src/engine/engine.ts'
import { blockGraphs } from '../../src/families/graphs/graphs.ts'
import type { Device } from '../../src/runtime/device.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { loadFixture } from '../../test/families/support.ts'
import { type ExpertChoices, explainByExperts } from './expert-choices.ts'
import { isMixture } from './experts-in-float32.ts'

/** A fixture in one dtype: the largest error of the last block's output, and what it may be. */
export interface FixtureResult {
  readonly fixture: string
  readonly dtype: FloatDType
  readonly error: number
  readonly limit: number
  /** Whether that is right, or explained by the choice of experts. */
  readonly isRight: boolean
  /** Of a model with experts that is wrong as a whole in 16 bits. */
  readonly choices?: ExpertChoices | undefined
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
 * the other, and compares with the reference. A model with experts that is wrong as a whole in 16 bits is right only
 * where the choice of experts explains that (see `explainByExperts`). Throws what the engine throws.
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
    const run = async (start: number, end: number, input: Float32Array): Promise<Float32Array> => {
      const outputs = new Float32Array(input.length)
      const sequence = async (which: number): Promise<void> => {
        const session = await engine.openSession({ start, end, maxLength: tokens, timeoutMs: 0 })
        for (const to of [6, ...Array.from({ length: tokens - 6 }, (_, i) => 7 + i)]) {
          const from = session.position
          const hidden: Tensor = convert(
            fromFloat32(rows(input, which, from, to).slice(), [to - from, hiddenSize]),
            dtype,
          )
          rows(outputs, which, from, to).set(asFloat32(convert(await session.step(hidden), 'float32')))
        }
        session.release()
      }
      await Promise.all(Array.from({ length: sequences }, (_, which) => sequence(which)))
      return outputs
    }
    const expected = golden(`block${numBlocks - 1}_output`)
    const limit = dtype === 'float32' ? FLOAT32_TOLERANCE : SHARE_OF_LARGEST[dtype] * largest(expected)
    const whole = await run(0, numBlocks, golden('block0_input'))
    const error = largestError(whole, expected)
    const result = { fixture, dtype, error, limit, isRight: error < limit }
    if (result.isRight || dtype === 'float32' || !hasExperts(checkpoint.config)) return result
    const runBlock = (block: number, hidden: Float32Array) => run(block, block + 1, hidden)
    const choices = await explainByExperts(await loadFixture(fixture), { dtype, whole, runBlock })
    return { ...result, isRight: choices.worst < 1, choices }
  } finally {
    await engine.close()
  }
}

function hasExperts(config: ModelConfig): boolean {
  const graphs = blockGraphs(config, { device: 'cpu', dtype: 'float32' })
  return graphs.some(({ nodes }) => nodes.some(isMixture))
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
