import { openAdapter } from '../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { errorCode } from '../../src/base/errors.ts'
import { Engine, type EngineOptions } from '../../src/engine/engine.ts'
import { CPU, type Device } from '../../src/runtime/device.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import type { Verdict } from './verdict.ts'

/** One thing that goes wrong on some devices and not on others. */
export interface Probe {
  readonly name: string
  /** Where it makes sense; everywhere where not given. */
  readonly devices?: readonly Device['kind'][] | undefined
  /** Throws what goes wrong, or says how far a result is off. */
  run(device: Device, dtype: FloatDType): Promise<Verdict | void>
}

const FOLDER = new URL('../../test/fixtures', import.meta.url).pathname
const ADAPTER = new URL('../../test/fixtures-adapters/llama-patterns', import.meta.url).pathname
const COMMON = { start: 0, end: 3, threads: 1, spin: false, cacheTokens: 4096 } as const

/** Of the largest value. */
const TOLERANCES: Record<FloatDType, number> = { float32: 1e-4, float16: 0.02, bfloat16: 0.1 }

function waves(tokens: number, width: number, kind = 1): Tensor {
  const values = Float32Array.from({ length: tokens * width }, (_, i) => Math.sin(i * (0.37 + 0.11 * kind)))
  return fromFloat32(values, [tokens, width])
}

/** What a span gives on the device and on the CPU: `work` is done on both, and what it gives is compared. */
async function compare(
  fixture: string,
  { device, dtype, ...options }: { device: Device; dtype: FloatDType } & Partial<EngineOptions>,
  work: (engine: Engine, put: (tensor: Tensor) => Tensor) => Promise<Tensor[]>,
): Promise<void> {
  const checkpoint = await openCheckpoint(`${FOLDER}/${fixture}`)
  const results: Float32Array[][] = []
  for (const target of [
    { device: CPU, dtype: 'float32' },
    { device, dtype },
  ] as const) {
    const engine = await Engine.load({ ...COMMON, ...options, ...target, checkpoint })
    try {
      const given = await work(engine, (tensor) => convert({ ...tensor, data: tensor.data.slice() }, target.dtype))
      results.push(given.map((tensor) => asFloat32(convert(tensor, 'float32'))))
    } finally {
      await engine.close()
    }
  }
  const [expected, found] = results as [Float32Array[], Float32Array[]]
  for (const [i, values] of expected.entries()) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error = values.reduce((worst, value, at) => Math.max(worst, Math.abs(value - found[i]![at]!)), 0)
    if (!(error <= TOLERANCES[dtype] * largest)) throw new Error(`result ${i} differs by ${error} of ${largest}`)
  }
}

/** Prefill and steps of several sessions at once. */
async function write(
  engine: Engine,
  put: (tensor: Tensor) => Tensor,
  {
    sessions = 1,
    tokens = 8,
    steps = 6,
    ...options
  }: { sessions?: number; tokens?: number; steps?: number } & Partial<Parameters<Engine['openSession']>[0]>,
): Promise<Tensor[]> {
  const { hiddenSize } = engine.config
  const outputs = await Promise.all(
    Array.from({ length: sessions }, async (_, i) => {
      const span = { start: 0, end: 3, maxLength: tokens + steps, timeoutMs: 0, ...options }
      const session = await engine.openSession(span)
      const given = [await session.step(put(waves(tokens, hiddenSize, i)))]
      for (let step = 0; step < steps; step++) given.push(await session.step(put(waves(1, hiddenSize, i + step))))
      session.release()
      return given
    }),
  )
  return outputs.flat()
}

/** In the order in which they are likely to fail on a device that nobody has run yet. */
export const PROBES: readonly Probe[] = [
  {
    name: 'a prompt of 64 tokens in one run',
    run: (device, dtype) => compare('llama', { device, dtype }, (engine, put) => write(engine, put, { tokens: 64 })),
  },
  {
    name: 'steps of a model with ALiBi, where an operator waits for a length of the host',
    run: (device, dtype) => compare('bloom', { device, dtype }, (engine, put) => write(engine, put, { sessions: 3 })),
  },
  {
    name: 'nine sessions in one run: idle rows',
    run: (device, dtype) => compare('llama', { device, dtype }, (engine, put) => write(engine, put, { sessions: 9 })),
  },
  {
    name: 'every part of the span, more of them than sessions are kept for',
    run: (device, dtype) =>
      compare('llama', { device, dtype }, async (engine, put) => {
        const given: Tensor[] = []
        for (const [start, end] of [
          [0, 1],
          [1, 2],
          [2, 3],
          [0, 2],
          [1, 3],
        ] as const)
          for (const sessions of [1, 2]) given.push(...(await write(engine, put, { start, end, sessions, steps: 2 })))
        return [...given, ...(await write(engine, put, {}))]
      }),
  },
  {
    name: 'deep prompts between steps of other sessions',
    run: (device, dtype) =>
      compare('llama', { device, dtype }, async (engine, put) => {
        const { hiddenSize } = engine.config
        const prompts = fromFloat32(asFloat32(waves(3 * 6, hiddenSize)), [3, 6, hiddenSize])
        const [plain, prompted] = await Promise.all([
          write(engine, put, { steps: 12 }),
          write(engine, put, { prompts }),
        ])
        return [...plain, ...prompted]
      }),
  },
  {
    name: 'an adapter of some sessions beside others without',
    run: (device, dtype) =>
      compare('llama', { device, dtype, adapterBytes: 1 << 20 }, async (engine, put) => {
        const adapter = await openAdapter(ADAPTER)
        engine.adapters.add(adapter)
        const [plain, adapted] = await Promise.all([
          write(engine, put, { sessions: 2 }),
          write(engine, put, { sessions: 2, adapter: adapter.name }),
        ])
        return [...plain, ...adapted]
      }),
  },
  {
    name: 'a sequence that grows, is cut back and is copied',
    run: (device, dtype) =>
      compare('llama', { device, dtype }, async (engine, put) => {
        const { hiddenSize } = engine.config
        const span = { start: 0, end: 3, maxLength: 128, timeoutMs: 0 }
        const [source, copy] = [await engine.openSession(span), await engine.openSession(span)]
        await source.step(put(waves(100, hiddenSize)))
        source.truncate(70)
        await copy.forkFrom(source, 65)
        const given = [await source.step(put(waves(30, hiddenSize, 2))), await copy.step(put(waves(3, hiddenSize, 3)))]
        for (const session of [source, copy]) session.release()
        return given
      }),
  },
  {
    name: 'a cache that does not fit is refused, and the device goes on',
    run: async (device, dtype) => {
      if (device.kind === 'cpu') return
      const checkpoint = await openCheckpoint(`${FOLDER}/llama`)
      const load = { ...COMMON, checkpoint, device, dtype }
      // On WebGPU a cache takes what its sequences hold: none is long enough here.
      if (device.kind === 'cuda')
        await Engine.load({ ...load, cacheTokens: 2 ** 34 }).then(
          (engine) => engine.close().then(() => Promise.reject(new Error('the cache was taken'))),
          (error: unknown) => {
            if (errorCode(error) !== 'RUNTIME_MEMORY') throw error
          },
        )
      await compare('llama', { device, dtype }, (engine, put) => write(engine, put, {}))
    },
  },
]
