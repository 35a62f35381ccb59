import { parseArgs } from 'node:util'
import { errorCode, errorMessage } from '../../src/base/errors.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { bufferCapacity } from '../../src/engine/cache/buffers/buffer-capacity.ts'
import { planSpan } from '../../src/engine/plan/plan.ts'
import type { ModelConfig } from '../../src/checkpoint/config/config.ts'
import { chooseDevice, cudaProblems } from '../../src/runtime/choose-device.ts'
import { inspectCuda } from '../../src/runtime/cuda/cuda-report.ts'
import { type Device, deviceText, parseDevice } from '../../src/runtime/device.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { type FixtureResult, checkFixture, fixtureNames } from './fixtures.ts'
import { OPERATOR_PROBES } from './operator-probes.ts'
import { PROBES } from './probes.ts'
import { RUNNER_PROBES } from './runner-probes.ts'
import { verdictLine } from './verdict.ts'
import { runReference } from './pytorch.ts'
import { type SpeedResult, copyRate, measureSpeed } from './speed.ts'
import { LLAMA_3_8B, syntheticCheckpoint, weightBytes } from './synthetic.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'

const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16']
const DEMO = new URL('../../models/demo', import.meta.url).pathname
const BATCHES = [1, 16]
const CACHED_TOKENS = 512
const STEPS = 50

/** Share of the copy rate that weights should stream at, and how much longer a batch of 16 may take than one row. */
const GOALS = { copyShare: 0.75, batchFactor: 1.15 }

const HELP = `Checks a GPU: the small reference models in every dtype, memory, and the speed of decode and prefill on
eight blocks of Llama 3 8B's shape, beside what this machine's PyTorch does with them.

npm run gpu-check [-- --device cuda:N|webgpu|cpu]    on the CPU only the reference models are run, in float32;
on a software adapter of WebGPU the bundled model is measured instead

Exit code: 0 where all that was run was right, 1 otherwise, or where there is no usable GPU. Speeds are
printed, not judged.`

/** What is measured where software stands in for a GPU. */
const SOFTWARE = { batches: [1, 4], cachedTokens: 64, steps: 10 }

/** How far what is held may be from the plan. */
const PLAN_TOLERANCE = 0.05

const notRun: string[] = []

function gb(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}

async function checkFixtures(device: Device): Promise<boolean> {
  console.log("== reference models: largest error of the last block's output, chunked prefill and steps together")
  let right = true
  for (const dtype of DTYPES) {
    if (device.kind === 'cpu' && dtype !== 'float32') {
      notRun.push(`${dtype}: a CPU computes in float32`)
      continue
    }
    if (device.kind === 'webgpu' && dtype === 'bfloat16') {
      notRun.push(`${dtype}: WebGPU has none`)
      continue
    }
    for (const fixture of fixtureNames()) {
      try {
        const result = await checkFixture(fixture, device, dtype)
        right &&= result.isRight
        console.log(fixtureLine(result))
      } catch (error) {
        if (errorCode(error) === 'GRAPH_UNSUPPORTED') {
          notRun.push(`${dtype} ${fixture}: refused: ${errorMessage(error)}`)
          continue
        }
        right = false
        console.log(`FAILED ${dtype.padEnd(8)} ${fixture.padEnd(16)} ${errorCode(error)}: ${errorMessage(error)}`)
      }
    }
  }
  return right
}

function fixtureLine({ fixture, dtype, error, limit, isRight, choices }: FixtureResult): string {
  const line =
    `${isRight ? 'ok    ' : 'WRONG '} ${dtype.padEnd(8)} ${fixture.padEnd(16)} ` +
    `${error.toExponential(1)} of ${limit.toExponential(1)}`
  if (choices === undefined) return line
  const { changed, reached, positions, worst } = choices
  return (
    `${line}; other experts ${changed} times, which reaches ${reached} of ${positions} positions; ` +
    `all else differs by at most ${(worst * 100).toFixed(0)} % of its limit`
  )
}

async function checkProbes(device: Device): Promise<boolean> {
  const dtype = device.kind === 'cuda' ? 'float16' : 'float32'
  console.log(`== what goes wrong on some devices, in ${dtype}`)
  let right = true
  for (const { name, devices, run } of [...PROBES, ...OPERATOR_PROBES, ...RUNNER_PROBES]) {
    if (devices !== undefined && !devices.includes(device.kind)) {
      notRun.push(`${name}: not on ${device.kind}`)
      continue
    }
    try {
      console.log(verdictLine(name, (await run(device, dtype)) ?? undefined))
    } catch (error) {
      right = false
      console.log(`FAILED   ${name}: ${errorMessage(error)}`)
    }
  }
  return right
}

/** Times and memory of the bundled model on a software adapter, and what it holds beside what was planned. */
async function checkSoftware(device: Device): Promise<boolean> {
  const checkpoint = await openCheckpoint(DEMO)
  const { config } = checkpoint
  const { batches, cachedTokens } = SOFTWARE
  console.log(`== ${config.numBlocks} blocks of the bundled model in software, ${cachedTokens} cached tokens`)
  const speed = await measureSpeed(checkpoint, { device, dtype: 'float32', ...SOFTWARE })
  for (const [batch, { deviceMs }] of speed.decode)
    console.log(`decode, batch ${batch}: ${deviceMs.toFixed(1)} ms a step`)
  console.log(
    `prefill of ${cachedTokens}: ${speed.prefill.deviceMs.toFixed(1)} ms; loaded in ${speed.loadSeconds.toFixed(1)} s`,
  )
  const cacheTokens = (Math.max(...batches) + 1) * bufferCapacity(speed.maxLength)
  const plan = planSpan(config, { device: 'webgpu', dtype: 'float32', memoryBytes: 1e12, cacheTokens })
  const planned = plan.weightBytes + plan.cacheBytes
  const share = speed.mostBytes! / planned
  console.log(
    `weights and cache: ${gb(planned)} planned, ${gb(speed.mostBytes!)} held at most (${(share * 100).toFixed(1)} %)`,
  )
  return Math.abs(share - 1) <= PLAN_TOLERANCE
}

function fromCaller(wallMs: number | undefined): string {
  return wallMs === undefined ? '' : ` (${wallMs.toFixed(2)} from the caller)`
}

function printSpeed(
  { dtype, loadSeconds, loadedBytes, workBytes, hostBytes, prefill, decode }: SpeedResult,
  weights: number,
  rate: number,
): void {
  const rows = [...decode].map(([batch, { deviceMs, wallMs }]) => {
    const share = weights / (deviceMs / 1000) / rate
    return (
      `decode, batch ${batch}: ${deviceMs.toFixed(2)} ms a step${fromCaller(wallMs)}, ` +
      `${(weights / deviceMs / 1e6).toFixed(0)} GB/s of weights, ${(share * 100).toFixed(0)} % of the copy rate`
    )
  })
  const [first, last] = [decode.get(BATCHES[0]!)!, decode.get(BATCHES.at(-1)!)!]
  const reached =
    weights / (first.deviceMs / 1000) / rate >= GOALS.copyShare && last.deviceMs / first.deviceMs <= GOALS.batchFactor
  console.log(`-- ${dtype}`)
  for (const row of rows) console.log(row)
  console.log(
    `batch ${BATCHES.at(-1)} takes ${(last.deviceMs / first.deviceMs).toFixed(2)} times batch 1; ` +
      `goals (${GOALS.copyShare * 100} % of the copy rate, ${GOALS.batchFactor} times): ` +
      `${reached ? 'reached' : 'not reached'}`,
  )
  console.log(
    `prefill of ${CACHED_TOKENS}: ${prefill.deviceMs.toFixed(2)} ms${fromCaller(prefill.wallMs)}, ` +
      `${((weights * CACHED_TOKENS) / prefill.deviceMs / 1e9).toFixed(0)} TFLOP/s`,
  )
  const known = (bytes: number | undefined) => (bytes === undefined ? 'unknown' : gb(bytes))
  console.log(
    `loaded in ${loadSeconds.toFixed(1)} s; device memory: ${known(loadedBytes)} after loading ` +
      `(weights ${gb(weights)}), ${known(workBytes)} more for sessions and runs; this process grew by ${gb(hostBytes)}`,
  )
}

/** What is held of the device's memory beside the plan, which counts what could be held at most. */
function printPlan(config: ModelConfig, { dtype, loadedBytes, workBytes, maxLength }: SpeedResult): void {
  if (loadedBytes === undefined || workBytes === undefined) return
  const cacheTokens = (Math.max(...BATCHES) + 1) * 2 ** Math.ceil(Math.log2(maxLength))
  const plan = planSpan(config, {
    device: 'cuda',
    dtype,
    memoryBytes: 1e12,
    numBlocks: config.numBlocks,
    cacheTokens,
    prefillChunkTokens: CACHED_TOKENS,
  })
  const [held, planned] = [loadedBytes + workBytes, plan.weightBytes + plan.cacheBytes + plan.workspaceBytes]
  console.log(
    `weights, cache, sessions and recordings: ${gb(planned)} planned at most, ${gb(held)} held` +
      (held > planned ? ': MORE THAN PLANNED' : ''),
  )
}

async function checkSpeed(device: Device): Promise<boolean> {
  const rate = copyRate(device)
  console.log(
    `== speed: ${LLAMA_3_8B.numBlocks} blocks of Llama 3 8B's shape, random weights, ${CACHED_TOKENS} cached ` +
      `tokens, medians of ${STEPS}`,
  )
  console.log(`a copy within the device reads and writes ${(rate / 1e9).toFixed(0)} GB/s`)
  using checkpoint = syntheticCheckpoint(LLAMA_3_8B)
  let right = true
  for (const dtype of DTYPES.filter((one) => one !== (device.kind === 'webgpu' ? 'bfloat16' : 'float32'))) {
    try {
      const speed = await measureSpeed(checkpoint, {
        device,
        dtype,
        batches: BATCHES,
        cachedTokens: CACHED_TOKENS,
        steps: STEPS,
      })
      printSpeed(speed, weightBytes(checkpoint), rate)
      if (device.kind === 'cuda') printPlan(checkpoint.config, speed)
    } catch (error) {
      right = false
      console.log(`FAILED ${dtype} ${errorCode(error)}: ${errorMessage(error)}`)
    }
  }
  const options = {
    shape: LLAMA_3_8B,
    dtype: 'float16',
    batches: BATCHES,
    cachedTokens: CACHED_TOKENS,
    steps: STEPS,
    device: `cuda:${device.index}`,
  } as const
  if (device.kind !== 'cuda') return right
  console.log('-- transformers, float16')
  const problem = await runReference(options, (line) => {
    if ('ms' in line) console.log(`${line.name}: ${line.ms.toFixed(2)} ms`)
    else notRun.push(`transformers, ${line.name}: ${line.error}`)
  })
  if (problem !== undefined) notRun.push(`transformers: ${problem}`)
  return right
}

/** Prints which adapter it is; returns whether it is software. Throws `UsageError` where it cannot be used. */
function describeWebGpu(device: Device): boolean {
  chooseDevice(deviceText(device))
  const adapter = threadRuntime.adapterLooks.look().adapters[device.index]
  if (adapter === undefined) console.log('the adapter that the system prefers; its name is not known here')
  else console.log(`${adapter.name} (${adapter.kind}), driver ${adapter.driverVersion}, ${gb(adapter.freeBytes)} free`)
  return adapter?.kind === 'software'
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { device: { type: 'string', default: 'cuda' }, help: { type: 'boolean', default: false } },
  })
  if (values.help) {
    console.log(HELP)
    return true
  }
  const device = parseDevice(values.device, () => true)
  if (device.kind === 'cuda') {
    const problems = cudaProblems(device)
    if (problems.length > 0) {
      console.error(`The GPU cannot be checked: ${problems.join('; ')}.`)
      return false
    }
    const gpu = threadRuntime.gpuMemory(device.index)!
    console.log(
      `GPU ${device.index}: ${gpu.name}, driver ${gpu.driverVersion}, ` +
        `${gb(gpu.freeBytes)} of ${gb(gpu.totalBytes)} free; provider from ${inspectCuda().provider?.folder}`,
    )
  }
  const isSoftware = device.kind === 'webgpu' && describeWebGpu(device)
  let right = await checkFixtures(device)
  right = (await checkProbes(device)) && right
  if (isSoftware) right = (await checkSoftware(device)) && right
  else if (device.kind !== 'cpu') right = (await checkSpeed(device)) && right
  else notRun.push('memory and speed: they are for a GPU')
  for (const reason of notRun) console.log(`not run: ${reason}`)
  return right
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  console.error(errorMessage(error))
  process.exitCode = 1
}
