// Compares what is computed here with references: node test/reference/compare.ts FOLDER...
// Each folder holds a checkpoint and its golden.safetensors, or several such folders.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { ModelEnds } from '../../src/engine/ends/ends.ts'
import { Engine } from '../../src/engine/engine.ts'
import { CPU } from '../../src/runtime/device.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../src/tensor/tensor.ts'
import {
  BlockRunner,
  blockWeights,
  CUDA_FLOAT32,
  floats,
  maxError,
  readTensors,
  type Tensors,
} from '../families/support.ts'

const TOLERANCE = 1e-4
const GOLDEN = 'golden.safetensors'
const THREADS = { threads: 1, spin: false }

/** The largest error of each comparison; of ids, how many differ. */
type Errors = Record<string, number>

let worst = 0
let failed = 0
const folders = process.argv.slice(2).flatMap(checkpointsIn)
for (const folder of folders) {
  const errors = await compare(folder)
  const bad = Object.values(errors).some((error) => !(error < TOLERANCE))
  failed += bad ? 1 : 0
  worst = Math.max(worst, ...Object.values(errors))
  console.log(
    bad ? 'DIFFERS' : 'ok',
    folder,
    JSON.stringify(errors, (_, x) => (x instanceof Object ? x : +x.toPrecision(2))),
  )
}
console.log(`${folders.length} checkpoints, ${failed} differ, max error ${worst.toPrecision(3)}`)
process.exitCode = failed === 0 ? 0 : 1

function checkpointsIn(folder: string): string[] {
  if (existsSync(join(folder, GOLDEN))) return [folder]
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((inner) => existsSync(join(inner, GOLDEN)))
}

async function compare(folder: string): Promise<Errors> {
  const checkpoint = await openCheckpoint(folder)
  const golden = await readTensors(join(folder, GOLDEN))
  const { numBlocks } = checkpoint.config
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device: CPU,
    dtype: 'float32',
    ...THREADS,
    cacheTokens: 1024,
    prefillChunkTokens: 3,
  })
  const ends = await ModelEnds.load({ checkpoint, ...THREADS })
  try {
    return {
      ...(await passes(engine, ends, golden)),
      ...(await greedy(engine, ends, golden)),
      primitives: await inPrimitives(checkpoint, golden, await readTensors(join(folder, 'model.safetensors'))),
    }
  } finally {
    await Promise.all([engine.close(), ends.close()])
  }
}

/** Forward passes over all rows: embedding, each block, logits, and logits with deep prompts. */
async function passes(engine: Engine, ends: ModelEnds, golden: Tensors): Promise<Errors> {
  const { ids, rows, tokens } = idsOf(golden, 'input_ids')
  const embedded = asFloat32(await ends.embed(ids))
  const run = async (end: number, prompts?: Tensor) => {
    const hidden = fromFloat32(embedded.slice(), [rows, tokens, ends.hiddenSize])
    return asFloat32(await engine.forward(hidden, { start: 0, end, prompts, timeoutMs: 60_000 }))
  }
  const blocks = []
  for (let end = 1; end <= engine.end; end++)
    blocks.push(maxError(await run(end), floats(golden, `block${end - 1}_output`)))
  const prompted = await run(engine.end, golden.get('deep_prompts')!)
  return {
    embedding: maxError(embedded, floats(golden, 'block0_input')),
    blocks: Math.max(...blocks),
    logits: maxError(await ends.head((await run(engine.end)).slice()), floats(golden, 'logits')),
    prompted: maxError(await ends.head(prompted.slice()), floats(golden, 'logits_with_deep_prompts')),
  }
}

/** A greedy text in a session, whose prompt comes in pieces. */
async function greedy(engine: Engine, ends: ModelEnds, golden: Tensors): Promise<Errors> {
  const { tokens: promptLength } = idsOf(golden, 'input_ids')
  const { ids } = idsOf(golden, 'greedy_ids')
  const logprobs = floats(golden, 'greedy_logprobs')
  const session = await engine.openSession({ start: 0, end: engine.end, maxLength: ids.length, timeoutMs: 0 })
  let differing = 0
  let error = 0
  for (let at = 0, tokens = 4; at < ids.length - 1; at += tokens, tokens = at < 8 ? 4 : 1) {
    const given = ids.slice(at, Math.min(at + tokens, ids.length - 1))
    const logits = await ends.head(asFloat32(await session.step(await ends.embed(given))).slice())
    for (let i = 0; i < given.length; i++) {
      const row = logits.subarray(i * ends.vocabSize, (i + 1) * ends.vocabSize)
      error = Math.max(error, Math.abs(logProbability(row, ids[at + i + 1]!) - logprobs[at + i]!))
      if (at + i + 1 >= promptLength && row.indexOf(Math.max(...row)) !== ids[at + i + 1]) differing++
    }
  }
  session.release()
  return { greedyIds: differing, greedyLogprobs: error }
}

/** Each block in ONNX's own operators. */
async function inPrimitives({ config }: Checkpoint, golden: Tensors, weights: Tensors): Promise<number> {
  const { rows, tokens } = idsOf(golden, 'input_ids')
  let error = 0
  for (let block = 0; block < config.numBlocks; block++) {
    const options = { block, rows, capacity: 32, maxLength: tokens, target: CUDA_FLOAT32 }
    const runner = await BlockRunner.create(config, blockWeights(weights, block), options)
    const input = floats(golden, block === 0 ? 'block0_input' : `block${block - 1}_output`)
    error = Math.max(error, maxError(await runner.step(input, tokens), floats(golden, `block${block}_output`)))
  }
  return error
}

function idsOf(golden: Tensors, name: string): { ids: number[]; rows: number; tokens: number } {
  const { data, shape } = golden.get(name)!
  const ids = Array.from(new BigInt64Array(data.slice().buffer), Number)
  return { ids, rows: shape[0]!, tokens: shape[1]! }
}

function logProbability(row: Float32Array, id: number): number {
  const max = Math.max(...row)
  return row[id]! - max - Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0))
}
