import type { Device } from '../../src/runtime/device.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { type FloatDType, dtypeSize } from '../../src/tensor/dtype.ts'
import { median } from '../statistics.ts'
import type { Probe } from './probes.ts'
import { CHUNK, RunnerBench } from './runner-bench.ts'
import { type Verdict, quickerThan } from './verdict.ts'

const PAST = [100]
const UPLOAD_BYTES = 64 << 20

/** How much longer a step of sixteen rows may take than one of a single row. */
const BATCH_FACTOR = 1.25

/** Sixteen rows, of which the first alone holds something, or all others do. */
const sixteen = (others: number): number[] => [PAST[0]!, ...Array<number>(15).fill(others)]

/** What is warned of while something is done. */
async function warningOf(work: () => void): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const onWarning = ({ message }: Error): void => resolve(message)
  process.on('warning', onWarning)
  try {
    work()
    // Warnings are told in a later turn.
    setTimeout(() => resolve(undefined), 10)
    return await promise
  } finally {
    process.off('warning', onWarning)
  }
}

/** Steps that are recorded, beside the same that are not, with prompts between them. */
async function recording(bench: RunnerBench): Promise<Verdict> {
  const warning = await warningOf(() => {
    for (let step = 0; step < 6; step++) {
      const [found, expected] = [true, false].map((records) => {
        bench.records = records
        bench.run(8, [0])
        return bench.run(1, [8])
      })
      const error = found!.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected![i]!)), 0)
      if (!(error === 0)) throw new Error(`step ${step} differs by ${error} from one that is not recorded`)
    }
  })
  if (bench.recording.numRecordings === 0)
    return { kind: 'fallback', detail: warning ?? 'nothing was recorded, and nobody says why' }
  const plain = bench.time(1, PAST)
  bench.records = true
  return quickerThan(bench.time(1, PAST), plain, 'not recorded')
}

/** The median of some times, in ms. */
function timed(work: () => void): number {
  const times = Array.from({ length: 20 }, () => {
    const began = performance.now()
    work()
    return performance.now() - began
  })
  return median(times)
}

/** Uploads, from page-locked memory and from where weights are read elsewhere. */
function uploads(device: Device): Verdict {
  const heap = threadRuntime.heap(device)
  const own = threadRuntime.uploads(device)
  const locked = own.allocate(UPLOAD_BYTES)
  const ordinary = new Uint8Array(UPLOAD_BYTES)
  const to = heap.allocate(UPLOAD_BYTES)
  try {
    const slow = timed(() => heap.write(to, ordinary))
    if (locked === undefined) return { kind: 'fallback', detail: 'the system locks no pages: copies are waited for' }
    const quick = timed(() => {
      own.write(to, locked.bytes, () => undefined)
      own.finish()
    })
    return quickerThan(quick, slow, `for ${UPLOAD_BYTES >> 20} MB, from ordinary memory`)
  } finally {
    locked?.unmap()
    own.release()
    heap.free(to)
  }
}

/** A probe of a span's runner on a device whose memory has addresses, which is given back afterwards. */
function probe(name: string, work: (bench: RunnerBench) => Verdict | void): Probe {
  const run = (device: Device, dtype: FloatDType): Promise<Verdict | void> => {
    using bench = RunnerBench.synthetic(device, dtype)
    return Promise.resolve(work(bench))
  }
  return { name, devices: ['cpu', 'cuda'], run }
}

export const RUNNER_PROBES: readonly Probe[] = [
  {
    name: 'steps are recorded, with prompts of the same session between them',
    devices: ['cpu', 'cuda'],
    async run(device, dtype) {
      using bench = RunnerBench.synthetic(device, dtype)
      return await recording(bench)
    },
  },
  {
    name: 'steps with ALiBi are recorded, or run as they are',
    devices: ['cpu', 'cuda'],
    async run(device, dtype) {
      using bench = await RunnerBench.fixture('bloom', device, dtype)
      const warning = await warningOf(() => {
        for (let step = 0; step < 4; step++) bench.run(1, [step])
      })
      const { numRecordings } = bench.recording
      return numRecordings > 0 ? undefined : { kind: 'fallback', detail: warning ?? 'nothing was recorded' }
    },
  },
  probe('the first prompt waits for nothing that the second does not', (bench) => {
    const timed = (): number => {
      const began = performance.now()
      bench.run(CHUNK, [0])
      return performance.now() - began
    }
    return quickerThan(timed(), 2 * timed() + 1, 'twice the second and 1 ms')
  }),
  probe('sixteen rows, fifteen of them idle and free', (bench) =>
    quickerThan(bench.time(1, sixteen(0)), BATCH_FACTOR * bench.time(1, PAST), `${BATCH_FACTOR} times one row`),
  ),
  probe('idle rows that hold 1000 tokens each, which are read', (bench) =>
    quickerThan(
      bench.time(1, sixteen(1000)),
      BATCH_FACTOR * bench.time(1, sixteen(0)),
      `${BATCH_FACTOR} times free ones`,
    ),
  ),
  probe('a step without places for adapters', (bench) => {
    const adapters = [{ first: 0, ranks: 0 }]
    return quickerThan(bench.time(1, PAST), bench.time(1, PAST, { adapters }), 'with places, and none in use')
  }),
  probe('deep prompts in one run of all blocks', (bench) => {
    const { hiddenSize, dtype } = bench.span
    const blocks = bench.span.resident!.map(() => new Uint8Array(64 * hiddenSize * dtypeSize(dtype)))
    const prompted = bench.time(64, [0], { prompts: { tokens: 64, first: 0, blocks } })
    return quickerThan(prompted, 2 * bench.time(64, [0]), 'twice without')
  }),
  { name: 'uploads from page-locked memory', devices: ['cuda'], run: (device) => Promise.resolve(uploads(device)) },
  {
    name: 'what goes to and fro in a step waits for nothing',
    devices: ['cuda'],
    run: (device) => Promise.resolve(copies(device)),
  },
]

/** A row's hidden states to the device and back, from page-locked memory and through the calls that wait. */
function copies(device: Device): Verdict {
  const heap = threadRuntime.heap(device)
  const bytes = 8192
  const [staging, ordinary, to] = [heap.staging(bytes), new Uint8Array(bytes), heap.allocate(bytes)]
  try {
    const waiting = (): void => {
      heap.write(to, ordinary)
      heap.read(to, ordinary)
    }
    const direct = (): void => {
      staging.write(to, bytes)
      staging.read(to, bytes)
    }
    return quickerThan(timed(direct), timed(waiting), 'with the whole device waited for')
  } finally {
    staging.release()
    heap.free(to)
  }
}
