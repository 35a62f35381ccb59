import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { collectBuffersWithHeap } from '../src/cli/process/collect-buffers.ts'
import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { Engine } from '../src/engine/engine.ts'
import { CPU } from '../src/runtime/device.ts'
import { seededRandom } from '../src/sampling/random.ts'
import { fromFloat32, type Tensor } from '../src/tensor/tensor.ts'
import { median } from './statistics.ts'
import { TorchSide } from './train/torch-side.ts'

const MODEL = new URL('../models/demo', import.meta.url).pathname
const SPANS: [number, number][] = [
  [0, 3],
  [3, 6],
  [6, 8],
]
const BATCH = 8
const TOKENS = 256
const WARM_UP_ROUNDS = 2
const ROUNDS = 7
const TIMEOUT_MS = 600_000

/**
 * What a forward and backward pass over a batch costs through three servers, beside the same in one process with the
 * same engine, and beside PyTorch where a Python with torch and transformers is found. Rounds alternate, so that all
 * see the same machine; each side has all cores. This process is the client, set up as `petals-node tune` is.
 */
export async function benchTrain(): Promise<void> {
  collectBuffersWithHeap()
  const threads = availableParallelism()
  const checkpoint = await openCheckpoint(MODEL)
  const { numBlocks, hiddenSize } = checkpoint.config
  const random = seededRandom(1)
  const batch = (): Tensor =>
    fromFloat32(
      Float32Array.from({ length: BATCH * TOKENS * hiddenSize }, () => random() - 0.5),
      [BATCH, TOKENS, hiddenSize],
    )
  const [hidden, gradient] = [batch(), batch()]
  const swarm = await startLocalSwarm({ model: MODEL, spans: SPANS, threads })
  const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap], threads })
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: numBlocks,
    device: CPU,
    dtype: 'float32',
    threads,
    spin: false,
    cacheTokens: 1024,
    trainingBytes: 512 << 20,
  })
  const torch = await TorchSide.start({ configFile: join(MODEL, 'config.json'), batch: BATCH, tokens: TOKENS, threads })
  const span = { start: 0, end: numBlocks, timeoutMs: TIMEOUT_MS }
  const sides: Record<string, () => Promise<number>> = {
    'three servers': () =>
      timed(async () => {
        using pass = await model.layers.pass(hidden)
        await pass.backward(gradient)
      }),
    'one engine': () =>
      timed(async () => {
        await engine.forward(copy(hidden), span)
        await engine.backward(copy(hidden), copy(gradient), span)
      }),
    ...(torch !== undefined && { PyTorch: () => torch.round() }),
  }
  try {
    const times = new Map(Object.keys(sides).map((name) => [name, [] as number[]]))
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++)
      for (const [name, run] of Object.entries(sides)) {
        const seconds = await run()
        if (round >= 0) times.get(name)!.push(seconds)
      }
    for (const [name, seconds] of times) console.log(`${name}: ${median(seconds).toFixed(3)} s`)
    const of = (name: string) => median(times.get(name) ?? [])
    console.log(
      `three servers / one engine: ${(of('three servers') / of('one engine')).toFixed(2)} (goal: at most 1.5)`,
    )
    console.log(
      torch === undefined
        ? 'no Python with torch and transformers was found (PYTHON names one): no comparison with PyTorch'
        : `three servers / PyTorch: ${(of('three servers') / of('PyTorch')).toFixed(2)} (goal: at most 2)`,
    )
  } finally {
    torch?.stop()
    await engine.close()
    await model.close()
    await swarm.stop()
  }
}

function copy(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}
