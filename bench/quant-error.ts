import { readdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '../src/base/errors.ts'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { Engine, type EngineOptions } from '../src/engine/engine.ts'
import { ModelEnds } from '../src/engine/ends/ends.ts'
import { CPU } from '../src/runtime/device.ts'
import { QUANTIZATIONS } from '../src/tensor/quantize.ts'
import { asFloat32, type Tensor } from '../src/tensor/tensor.ts'

const ROOT = join(import.meta.dirname, '..')
const FIXTURES = join(ROOT, 'test/fixtures')
const DEMO = join(ROOT, 'models/demo')
const ROUNDED: readonly Rounded[] = [
  ...QUANTIZATIONS.filter((quant) => quant !== 'none').map((quant) => ({ name: quant, quant })),
  { name: 'int8 cache', kvDType: 'int8' },
]
const THREADS = { threads: availableParallelism(), spin: false }
const TOKENS = 32

interface Rounded extends Pick<EngineOptions, 'quant' | 'kvDType'> {
  readonly name: string
}

const EXACT: Rounded = { name: 'exact' }

/**
 * What quantization costs, of weights or of the cache: of each family's fixture the relative error of its blocks'
 * outputs, and the demo model's loss.
 */
export async function benchQuantError(): Promise<void> {
  for (const name of await fixtures()) {
    const checkpoint = await openCheckpoint(join(FIXTURES, name))
    const exact = await outputs(checkpoint, EXACT)
    const errors: string[] = []
    for (const rounded of ROUNDED) errors.push(`${rounded.name} ${await relativeError(checkpoint, rounded, exact)}`)
    console.log(`${name.padEnd(24)} ${errors.join('   ')}`)
  }
  const exact = await lossOf(EXACT)
  console.log(`demo, 512 held-out tokens: ${exact.toFixed(4)} nats`)
  for (const rounded of ROUNDED)
    console.log(`  ${rounded.name.padEnd(10)} ${signed((await lossOf(rounded)) - exact)} nats`)
}

function lossOf(rounded: Rounded): Promise<number> {
  return demoLoss((checkpoint, hidden) => run(checkpoint, rounded, hidden))
}

async function fixtures(): Promise<string[]> {
  const entries = await readdir(FIXTURES, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
}

/** Of the whole span's output, by the Euclidean norm. */
async function relativeError(checkpoint: Checkpoint, rounded: Rounded, exact: Float32Array): Promise<string> {
  const found = await outputs(checkpoint, rounded).catch((error: unknown) => {
    if (errorCode(error) === 'GRAPH_UNSUPPORTED') return undefined
    throw error
  })
  if (found === undefined) return 'refused'
  let error = 0,
    norm = 0
  for (const [i, value] of exact.entries()) {
    error += (found[i]! - value) ** 2
    norm += value ** 2
  }
  return Math.sqrt(error / norm).toExponential(1)
}

async function outputs(checkpoint: Checkpoint, rounded: Rounded): Promise<Float32Array> {
  const {
    config: { hiddenSize },
  } = checkpoint
  const data = inputOf(checkpoint)
  return run(checkpoint, rounded, {
    dtype: 'float32',
    shape: [1, TOKENS, hiddenSize],
    data: new Uint8Array(data.buffer),
  })
}

/** The same for every format: embeddings of a fixture are too small to be typical. */
function inputOf({ config: { hiddenSize } }: Checkpoint): Float32Array {
  return Float32Array.from({ length: TOKENS * hiddenSize }, (_, i) => Math.sin(i * 12.9898 + Math.sin(i) * 78.233))
}

async function run(checkpoint: Checkpoint, { quant, kvDType }: Rounded, hidden: Tensor): Promise<Float32Array> {
  const { numBlocks } = checkpoint.config
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device: CPU,
    dtype: 'float32',
    quant,
    kvDType,
    cacheTokens: 1024,
    ...THREADS,
  })
  try {
    return asFloat32(await engine.forward(hidden, { start: 0, end: numBlocks, timeoutMs: 1000 }))
  } finally {
    await engine.close()
  }
}

/** The demo model's mean loss on 512 held-out tokens, where `compute` gives the last block's outputs. */
export async function demoLoss(
  compute: (checkpoint: Checkpoint, hidden: Tensor) => Promise<Float32Array>,
): Promise<number> {
  const checkpoint = await openCheckpoint(DEMO)
  const {
    heldout_512: { ids },
  } = JSON.parse(await readFile(`${DEMO}-golden.json`, 'utf8')) as { heldout_512: { ids: number[] } }
  const ends = await ModelEnds.load({ checkpoint, ...THREADS })
  try {
    const embedded = await ends.embed(ids)
    const hidden = await compute(checkpoint, { ...embedded, shape: [1, ...embedded.shape] })
    const logits = await ends.head(hidden.subarray(0, (ids.length - 1) * checkpoint.config.hiddenSize))
    return meanLoss(logits, ids.slice(1))
  } finally {
    await ends.close()
  }
}

function meanLoss(logits: Float32Array, targets: readonly number[]): number {
  const vocab = logits.length / targets.length
  const losses = targets.map((target, i) => {
    const row = logits.subarray(i * vocab, (i + 1) * vocab)
    const most = row.reduce((max, x) => Math.max(max, x), -Infinity)
    return most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0)) - row[target]!
  })
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

export function signed(x: number): string {
  return `${x < 0 ? '' : '+'}${x.toFixed(4)}`
}
