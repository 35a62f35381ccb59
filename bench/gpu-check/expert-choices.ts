import { SHARE_OF_LARGEST } from '../../src/client/verification/tolerance.ts'
import { type Fixture, blockInput, floats, maxError } from '../../test/families/support.ts'
import { BlockInFloat32 } from './experts-in-float32.ts'

/** What a run in 16 bits of a model with experts has to do with their choice. */
export interface ExpertChoices {
  /** At how many positions of all blocks other experts are chosen than in the reference. */
  readonly changed: number
  /** How many of the positions of the last block's output may differ for that: these, and what reads them. */
  readonly reached: number
  readonly positions: number
  /** The largest error, as a share of what it may be: below 1, the choice of experts explains all that is above it. */
  readonly worst: number
}

/** What a device computes. */
export interface DeviceRun {
  readonly dtype: keyof typeof SHARE_OF_LARGEST
  /** Of all blocks at once, from the reference's input: [sequences, tokens, hidden], in float32. */
  readonly whole: Float32Array
  /** Gives the output of one block for an input of the same shape. */
  runBlock(block: number, hidden: Float32Array): Promise<Float32Array>
}

/**
 * Whether a model that is wrong as a whole in 16 bits is so because other experts are chosen, and for nothing else. The
 * device computes block after block, each from its own output of the one before, and each block is computed in float32
 * on a CPU too, from the device's input and from the reference's. An error counts
 *
 * - everywhere, between the device's output of a block and float32's from the same input: so each block is right. Where
 *   the scores of the last expert that is chosen and of the first that is not are closer than the dtype's rounding, as
 *   a share of the largest score, the output may be the one that float32 gives with these two exchanged;
 * - between the device's output and the reference's, but for positions that a changed choice reaches: those at which
 *   float32 chooses other experts for the device's input than for the reference's, or two were exchanged, and in later
 *   blocks those behind them in the sequence, whose attention reads them;
 * - between all blocks at once and one after another, everywhere.
 */
export async function explainByExperts(fixture: Fixture, device: DeviceRun): Promise<ExpertChoices> {
  const { config, golden } = fixture
  const [sequences = 0, tokens = 0] = golden.get('block0_input')!.shape
  const width = config.hiddenSize
  const reached = Array<boolean>(sequences * tokens).fill(false)
  const at = (values: Float32Array, i: number): Float32Array => values.subarray(i * width, (i + 1) * width)
  let [hidden, changed, worst] = [blockInput(fixture, 0), 0, 0]
  for (let block = 0; block < config.numBlocks; block++) {
    const expected = floats(golden, `block${block}_output`)
    const limit = SHARE_OF_LARGEST[device.dtype] * maxError(expected, new Float32Array(expected.length))
    const count = (found: Float32Array, wanted: Float32Array): void => {
      worst = Math.max(worst, maxError(found, wanted) / limit)
    }
    const found = await device.runBlock(block, hidden)
    const inFloat32 = new BlockInFloat32(fixture, block)
    const own = await inFloat32.run(hidden)
    const reference = await inFloat32.run(blockInput(fixture, block))
    const isOff = (i: number): boolean => !(maxError(at(found, i), at(own.output, i)) < limit)
    const undecided = (own.choices ?? [])
      .map((choice, i) => [i, choice] as const)
      .filter(([i, { gap }]) => gap < SHARE_OF_LARGEST[device.dtype] && isOff(i))
    const swapped = new Map(undecided)
    const exchanged = swapped.size === 0 ? own : await inFloat32.run(hidden, swapped)
    for (const i of reached.keys()) reached[i] ||= i % tokens > 0 && reached[i - 1]!
    for (const i of reached.keys()) {
      const { output, choices } = swapped.has(i) ? exchanged : own
      count(at(found, i), at(output, i))
      if (choices?.[i]!.chosen === reference.choices?.[i]!.chosen) continue
      reached[i] = true
      changed++
    }
    const last = block === config.numBlocks - 1
    if (last) count(device.whole, found)
    for (const [i, isReached] of reached.entries()) {
      if (isReached) continue
      count(at(found, i), at(expected, i))
      if (last) count(at(device.whole, i), at(expected, i))
    }
    hidden = found
  }
  return { changed, reached: reached.filter(Boolean).length, positions: reached.length, worst }
}
