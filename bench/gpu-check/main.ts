import { parseArgs } from 'node:util'
import { errorCode, errorMessage } from '../../src/base/errors.ts'
import { cudaProblems } from '../../src/runtime/choose-device.ts'
import { inspectCuda } from '../../src/runtime/cuda/cuda-report.ts'
import { type Device, parseDevice } from '../../src/runtime/device.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { checkFixture, fixtureNames } from './fixtures.ts'
import { runReference } from './pytorch.ts'
import { type SpeedResult, copyRate, measureSpeed } from './speed.ts'
import { LLAMA_3_8B, syntheticCheckpoint, weightBytes } from './synthetic.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'

const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16']
const BATCHES = [1, 16]
const CACHED_TOKENS = 512
const STEPS = 50

/** Share of the copy rate that weights should stream at, and how much longer a batch of 16 may take than one row. */
const GOALS = { copyShare: 0.75, batchFactor: 1.15 }

const HELP = `Checks a GPU: the small reference models in every dtype, memory, and the speed of decode and prefill on
eight blocks of Llama 3 8B's shape, beside what this machine's PyTorch does with them.

npm run gpu-check [-- --device cuda:N|cpu]    on the CPU only the reference models are run, in float32

Exit code: 0 where all that was run was right, 1 otherwise, or where there is no usable GPU. Speeds are
printed, not judged.`

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
    for (const fixture of fixtureNames()) {
      try {
        const { error, limit } = await checkFixture(fixture, device, dtype)
        right &&= error < limit
        console.log(
          `${error < limit ? 'ok    ' : 'WRONG '} ${dtype.padEnd(8)} ${fixture.padEnd(16)} ` +
            `${error.toExponential(1)} of ${limit.toExponential(1)}`,
        )
      } catch (error) {
        right = false
        console.log(`FAILED ${dtype.padEnd(8)} ${fixture.padEnd(16)} ${errorCode(error)}: ${errorMessage(error)}`)
      }
    }
  }
  return right
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

async function checkSpeed(device: Device): Promise<boolean> {
  const rate = copyRate(device)
  console.log(
    `== speed: ${LLAMA_3_8B.numBlocks} blocks of Llama 3 8B's shape, random weights, ${CACHED_TOKENS} cached ` +
      `tokens, medians of ${STEPS}`,
  )
  console.log(`a copy within the device reads and writes ${(rate / 1e9).toFixed(0)} GB/s`)
  using checkpoint = syntheticCheckpoint(LLAMA_3_8B)
  let right = true
  for (const dtype of DTYPES.filter((one) => one !== 'float32')) {
    try {
      printSpeed(
        await measureSpeed(checkpoint, { device, dtype, batches: BATCHES, cachedTokens: CACHED_TOKENS, steps: STEPS }),
        weightBytes(checkpoint),
        rate,
      )
    } catch (error) {
      right = false
      console.log(`FAILED ${dtype} ${errorCode(error)}: ${errorMessage(error)}`)
    }
  }
  console.log('-- transformers, float16')
  const options = {
    shape: LLAMA_3_8B,
    dtype: 'float16',
    batches: BATCHES,
    cachedTokens: CACHED_TOKENS,
    steps: STEPS,
    device: `cuda:${device.index}`,
  } as const
  const problem = await runReference(options, (line) => {
    if ('ms' in line) console.log(`${line.name}: ${line.ms.toFixed(2)} ms`)
    else notRun.push(`transformers, ${line.name}: ${line.error}`)
  })
  if (problem !== undefined) notRun.push(`transformers: ${problem}`)
  return right
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
  let right = await checkFixtures(device)
  if (device.kind === 'cuda') right = (await checkSpeed(device)) && right
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
