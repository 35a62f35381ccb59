import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openAdapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { readTensor } from '../../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../../src/checkpoint/weights/safetensors.ts'
import { AdapterMemory } from '../../../src/engine/adapters/adapter-memory.ts'
import { Adapters } from '../../../src/engine/adapters/adapters.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { BlockMemory, cacheBytes, type RowMemory } from '../../../src/engine/cache/rows/row-memory.ts'
import { BoundRun } from '../../../src/runtime/bound-run.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'
import { DeviceRunner, type SpanGraphs } from '../../../src/engine/run/device-runner.ts'
import { type ResidentBlock, loadResidentBlocks, releaseResident } from '../../../src/engine/loading/resident.ts'
import { RopeTables } from '../../../src/engine/run/rope-tables.ts'
import type { RowBatch } from '../../../src/engine/run/row-batch.ts'
import type { RunnerSpan } from '../../../src/engine/run/runner-span.ts'
import { SpanSessions } from '../../../src/engine/run/span-sessions.ts'
import { WeightMemory } from '../../../src/engine/loading/weight-memory.ts'
import { blockGraphs, cacheShape } from '../../../src/families/graphs/graphs.ts'
import type { Target } from '../../../src/graph/lowering.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { warmUpDevice } from '../../../src/engine/run/warm-up-device.ts'
import { type Environment, createEnvironment } from '../../../src/runtime/environment.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { floats, readTensors } from '../../families/support.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname
const ADAPTER = new URL('../../fixtures-adapters/llama-patterns', import.meta.url).pathname
const ROWS = 8,
  CAPACITY = 128,
  TOKENS = 12
const ROPE_KEY = 'default'

type Step = Pick<RowBatch, 'tokens' | 'pastLengths'> &
  Partial<Pick<RowBatch, 'start' | 'end' | 'offset' | 'adapters' | 'prompts'>>

/** What runs on CUDA, on the CPU: its memory, its sessions and its bookkeeping are the same, the graphs in float32. */
const FORMS: readonly (readonly [string, Target, boolean])[] = [
  ['fused attention, recorded steps', { device: 'cpu', dtype: 'float32', adapters: true }, true],
  ['fused attention', { device: 'cpu', dtype: 'float32', adapters: true }, false],
  ['attention of float32 on CUDA', { device: 'cuda', dtype: 'float32', adapters: true }, false],
]

function bytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function refuseToRecord(): never {
  throw new RuntimeError('RUNTIME_KERNEL', 'operation not permitted when stream is capturing')
}

function assertClose(actual: Float32Array, expected: Float32Array): void {
  const error = actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0)
  assert.ok(actual.length === expected.length && error < 1e-4, `max error ${error}`)
}

for (const [form, target, records] of FORMS) {
  describe(`a span in the device's memory, ${form}`, () => {
    let checkpoint: Checkpoint,
      env: Environment,
      blocks: ResidentBlock[],
      cache: BlockMemory,
      memory: RowMemory,
      runner: DeviceRunner,
      span: RunnerSpan,
      ropes: RopeTables,
      adapters: Adapters
    let golden: Map<string, Float32Array>, width: number
    const graphsOf: SpanGraphs = ({ adapted, prompted }) =>
      blockGraphs(checkpoint.config, { ...target, adapters: adapted, prompted })

    before(async () => {
      checkpoint = await openCheckpoint(FOLDER)
      width = checkpoint.config.hiddenSize
      const slices = await readSafetensorsHeader(`${FOLDER}/golden.safetensors`)
      golden = new Map(
        slices
          .filter(({ dtype }) => dtype === 'float32')
          .map((slice) => [slice.name, asFloat32(readTensor(slice, 'float32'))]),
      )
      env = createEnvironment({ threads: 1, spin: false })
      const graphs = blockGraphs(checkpoint.config, target)
      const progress: number[] = []
      const blockTensors = blockSlices({ checkpoint, start: 0, end: 3 }, graphs)
      const weights = new WeightMemory()
      blocks = loadResidentBlocks(CPU, graphs, (i) => ({ slices: blockTensors[i]!, memory: weights }), {
        onBlock: (count) => progress.push(count),
      })
      assert.deepEqual(progress, [1, 2, 3])
      const { kvHeads, headDim } = cacheShape(checkpoint.config, target)
      const sizes = {
        device: CPU,
        dtype: 'float32',
        quant: undefined,
        sessions: [],
        hiddenSize: width,
        kvHeads,
        cacheHeadDim: headDim,
        start: 0,
        inputs: graphs.map(({ inputs }) => new Set(inputs.map(({ name }) => name))),
      } as const
      cache = new BlockMemory(CPU, 3, ROWS * CAPACITY * cacheBytes(sizes))
      adapters = new Adapters(new AdapterMemory(CPU, graphs, 'float32', 8), {
        config: checkpoint.config,
        device: CPU,
        dtype: 'float32',
        start: 0,
      })
      adapters.add(await openAdapter(ADAPTER))
      span = { ...sizes, adapters: adapters.stacks, resident: blocks }
      memory = { device: CPU, kvHeads, tokenBytes: cacheBytes(sizes), blocks: cache.blocks, discards: false }
      runner = new DeviceRunner(env, span, graphsOf, { maxTokens: 16, recorded: records ? memory : undefined })
      ropes = new RopeTables(checkpoint.config, 'float32', () => undefined)
      ropes.acquire(CAPACITY, CAPACITY)
      const steps: number[] = []
      const run = { tokens: 16, cacheTokens: ROWS * CAPACITY }
      warmUpDevice({ span, memory, runner, ropes }, run, (done) => steps.push(done))
      assert.deepEqual([steps, runner.numSessions], [[0, 1, 2], 1])
    })
    after(() => {
      runner.close()
      cache.release()
      adapters.close()
      releaseResident({ device: CPU, resident: blocks })
    })

    /** Row `sequence` of the reference's two, positions `from` to `to`. */
    const part = (name: string, sequence: number, from: number, to: number) =>
      golden.get(name)!.subarray((sequence * TOKENS + from) * width, (sequence * TOKENS + to) * width)

    function run(
      input: Float32Array,
      { tokens, pastLengths, start = 0, end = 3, offset = 0, adapters, prompts }: Step,
    ): Float32Array {
      const output = new Float32Array(input.length)
      runner.run(
        {
          memory,
          offset,
          capacity: CAPACITY,
          start,
          end,
          tokens,
          pastLengths,
          adapters,
          prompts,
          input: bytes(input),
          output: bytes(output),
        },
        ropes.get(ROPE_KEY),
      )
      return output
    }

    test('gives the reference for a prefill in chunks and for steps after it', () => {
      for (const [from, to] of [
        [0, 5],
        [5, 9],
        [9, 10],
        [10, 11],
        [11, 12],
      ] as const) {
        assertClose(
          run(part('block0_input', 0, from, to), { tokens: to - from, pastLengths: [from] }),
          part('block2_output', 0, from, to),
        )
      }
    })

    test('gives rows of one step their own adapters', async () => {
      const { range } = await adapters.acquire('llama-patterns')
      const expected = await readTensors(`${ADAPTER}/golden.safetensors`)
      const input = floats(expected, 'block0_input')
      const wanted = (row: number, at: number) =>
        row === 0
          ? floats(expected, 'output').subarray(at * width, (at + 1) * width)
          : part('block2_output', 0, at, at + 1)
      for (const row of [0, 1])
        run(input.slice(0, 6 * width), {
          tokens: 6,
          pastLengths: [0],
          offset: row * CAPACITY,
          adapters: row === 0 ? [range] : undefined,
        })
      const output = run(Float32Array.from([...input.subarray(6 * width), ...input.subarray(6 * width)]), {
        tokens: 1,
        pastLengths: [6, 6],
        adapters: [range, undefined],
      })
      for (const row of [0, 1]) assertClose(output.subarray(row * width, (row + 1) * width), wanted(row, 6))
    })

    test('gives the reference to rows of different lengths in one step, and to the same rows at the next', () => {
      const lengths = [3, 7, 1, 5]
      lengths.forEach((length, i) =>
        run(part('block0_input', i % 2, 0, length), { tokens: length, pastLengths: [0], offset: i * CAPACITY }),
      )
      for (let step = 0; step < 3; step++) {
        const past = lengths.map((length) => length + step)
        const rows = (name: string) =>
          Float32Array.from(past.flatMap((position, i) => [...part(name, i % 2, position, position + 1)]))
        assertClose(run(rows('block0_input'), { tokens: 1, pastLengths: past }), rows('block2_output'))
      }
    })

    test('gives the reference for part of the span, while the rest goes on', () => {
      for (const [start, end] of [
        [1, 2],
        [1, 3],
        [0, 1],
        [0, 3],
      ] as const) {
        const input = start === 0 ? 'block0_input' : `block${start - 1}_output`
        for (const [from, to] of [
          [0, 11],
          [11, 12],
        ] as const) {
          const output = run(part(input, 1, from, to), {
            tokens: to - from,
            pastLengths: [from],
            start,
            end,
            offset: 2 * CAPACITY,
          })
          assertClose(output, part(`block${end - 1}_output`, 1, from, to))
        }
      }
    })

    test('a failed step leaves the next one as it was', () => {
      run(part('block0_input', 0, 0, 4), { tokens: 4, pastLengths: [0] })
      assert.throws(() => run(part('block0_input', 0, 4, 5), { tokens: 1, pastLengths: [CAPACITY] }))
      assertClose(run(part('block0_input', 0, 4, 5), { tokens: 1, pastLengths: [4] }), part('block2_output', 0, 4, 5))
      assert.throws(
        () => run(new Float32Array(17 * width), { tokens: 17, pastLengths: [0] }),
        /17 tokens is larger than the 16/,
      )
    })

    test('adds deep prompts to each block, in chunks that they end in, and only in runs that have any', () => {
      const { hiddenSize } = checkpoint.config
      const prompts = {
        tokens: 5,
        blocks: [0, 1, 2].map((block) =>
          bytes(Float32Array.from({ length: 5 * hiddenSize }, (_, i) => Math.sin(i + block))),
        ),
      }
      // The same by hand: block by block.
      const expected = (from: number, to: number): Float32Array => {
        let hidden: Float32Array = part('block0_input', 0, from, to).slice()
        for (const [block, added] of prompts.blocks.entries()) {
          const values = new Float32Array(added.buffer)
          for (let i = from * width; i < Math.min(to, 5) * width; i++) hidden[i - from * width]! += values[i]!
          const one = { start: block, end: block + 1, offset: 3 * CAPACITY }
          hidden = run(hidden, { tokens: to - from, pastLengths: [from], ...one })
        }
        return hidden
      }
      for (const [from, to] of [
        [0, 3],
        [3, 8],
        [8, 9],
      ] as const) {
        const given = from < 5 ? { ...prompts, first: from } : undefined
        const found = run(part('block0_input', 0, from, to), {
          tokens: to - from,
          pastLengths: [from],
          offset: 4 * CAPACITY,
          prompts: given,
        })
        assertClose(found, expected(from, to))
      }
    })

    if (records) {
      test('a kind of steps is recorded when it comes again, and replayed from then on', (context) => {
        const own = new DeviceRunner(env, span, graphsOf, { maxTokens: 16, recorded: memory })
        context.after(() => own.close())
        run(part('block0_input', 0, 0, 4), { tokens: 4, pastLengths: [0] })
        const bound: (number | undefined)[] = []
        for (let past = 4; past < 9; past++) {
          step(own, past)
          bound.push(own.numRecordings)
        }
        assert.deepEqual([bound, own.numSessions], [[0, 1, 1, 1, 1], 1], 'one session, also for what is not recorded')
      })

      test('a step that cannot be recorded is run all the same, and so are those after it', (context) => {
        const own = new DeviceRunner(env, span, graphsOf, { maxTokens: 16, recorded: memory })
        context.after(() => own.close())
        run(part('block0_input', 0, 0, 4), { tokens: 4, pastLengths: [0] })
        step(own, 4)
        const warned = context.mock.method(process, 'emitWarning', () => undefined)
        const runs = context.mock.method(BoundRun.prototype, 'run')
        runs.mock.mockImplementationOnce(refuseToRecord)
        for (const past of [5, 6]) step(own, past)
        assert.equal(runs.mock.callCount(), 3, 'the second step is not tried to be recorded')
        assert.equal(warned.mock.callCount(), 1)
      })

      test('where such a session takes no runs that are not recorded, nothing is recorded', (context) => {
        const own = new DeviceRunner(env, span, graphsOf, { maxTokens: 16, recorded: memory })
        context.after(() => own.close())
        run(part('block0_input', 0, 0, 4), { tokens: 4, pastLengths: [0] })
        const warned = context.mock.method(process, 'emitWarning', () => undefined)
        const runs = context.mock.method(BoundRun.prototype, 'run')
        runs.mock.mockImplementationOnce(refuseToRecord)
        for (const past of [4, 5, 6]) step(own, past)
        assert.deepEqual([runs.mock.callCount(), own.numRecordings, warned.mock.callCount()], [4, 0, 1])
      })

      test('where a session that records cannot be made, one that does not is', (context) => {
        const warned = context.mock.method(process, 'emitWarning', () => undefined)
        let asked = 0
        const refusing = {
          ...env,
          ort: {
            ...env.ort,
            create: ((name, ...args) => {
              if (name === 'CreateSessionFromArray' && asked++ === 0) refuseToRecord()
              return env.ort.create(name, ...args)
            }) as typeof env.ort.create,
          },
        }
        const own = new DeviceRunner(refusing, span, graphsOf, { maxTokens: 16, recorded: memory })
        context.after(() => own.close())
        run(part('block0_input', 0, 0, 4), { tokens: 4, pastLengths: [0] })
        for (const past of [4, 5, 6]) step(own, past)
        assert.deepEqual([asked, own.numRecordings, warned.mock.callCount()], [2, 0, 1])
      })
    }

    /** A step of the reference's first row by a runner of its own. */
    function step(own: DeviceRunner, past: number): void {
      const output = new Float32Array(width)
      const batch = { memory, offset: 0, capacity: CAPACITY, start: 0, end: 3, tokens: 1, pastLengths: [past] }
      const input = bytes(part('block0_input', 0, past, past + 1))
      own.run({ ...batch, input, output: bytes(output) }, ropes.get(ROPE_KEY))
      assertClose(output, part('block2_output', 0, past, past + 1))
    }

    test('sessions are made when first needed, shared, and bounded', () => {
      const sessions = new SpanSessions({
        env,
        device: CPU,
        blocks,
        graphs: graphsOf,
        workspaceBytes: 2 ** 30,
        recordings: undefined,
      })
      const whole = { start: 0, end: 3, prompted: false, adapted: false }
      const first = sessions.get(whole)
      assert.equal(sessions.get(whole), first)
      assert.ok(![...first.inputs].some((name) => name.includes('lora')))
      const adapted = sessions.get({ ...whole, adapted: true })
      assert.ok([...adapted.inputs].some((name) => name.includes('lora')))
      for (const adapted of [true, false])
        for (const [start, end] of [
          [0, 1],
          [0, 2],
          [1, 2],
          [1, 3],
          [2, 3],
        ] as const)
          sessions.get({ start, end, adapted, prompted: false })
      assert.equal(sessions.numSessions, 6)
      assert.equal(sessions.get(whole), first, 'what anybody asks for leaves the whole span alone')
      sessions.close()
      assert.equal(sessions.numSessions, 0)
    })
  })
}
