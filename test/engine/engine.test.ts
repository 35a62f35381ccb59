import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { readTensor } from '../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../src/checkpoint/weights/safetensors.ts'
import { Engine } from '../../src/engine/engine.ts'
import { ModelEnds } from '../../src/engine/ends/ends.ts'
import { PetalsError } from '../../src/base/errors.ts'
import { CPU } from '../../src/runtime/device.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../src/tensor/tensor.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'

const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const THREADS = { threads: 1, spin: false }
const DEVICES = [
  { device: CPU, options: {} },
  { device: WEBGPU, options: ON_WEBGPU },
] as const

async function golden(name: string): Promise<Tensor> {
  const slices = await readSafetensorsHeader(`${FOLDER}/golden.safetensors`)
  return readTensor(
    slices.find((slice) => slice.name === name)!,
    'float32',
  )
}

function maxAbs(a: Tensor, b: Tensor): number {
  const x = asFloat32(a),
    y = asFloat32(b)
  assert.equal(x.length, y.length)
  return x.reduce((max, value, i) => Math.max(max, Math.abs(value - y[i]!)), 0)
}

/** Rows `start` to `end` in memory of their own, since a step takes its input's buffer over. */
function piece(source: Tensor, start: number, end: number): Tensor {
  const rows = sliceRows(source, start, end)
  return { ...rows, data: rows.data.slice() }
}

/** The golden tensors have two rows of 12 tokens; a session takes one. */
function row(source: Tensor, index: number): Tensor {
  const [, tokens = 0, width = 0] = source.shape
  const values = asFloat32(source)
  return fromFloat32(values.slice(index * tokens * width, (index + 1) * tokens * width), [tokens, width])
}

for (const { device, options } of DEVICES) {
  describe(`an engine over the Llama fixture on ${device.kind}`, options, () => {
    let checkpoint: Checkpoint
    let engine: Engine
    before(async () => {
      checkpoint = await openCheckpoint(FOLDER)
      engine = await Engine.load({
        checkpoint,
        start: 0,
        end: 3,
        device,
        dtype: 'float32',
        ...THREADS,
        cacheTokens: 2048,
        prefillChunkTokens: 5,
      })
    }, PATIENTLY)
    after(() => engine.close())

    test('forward gives the reference outputs of every block', PATIENTLY, async () => {
      const input = await golden('block0_input')
      for (let end = 1; end <= 3; end++) {
        const output = await engine.forward(
          { ...input, data: input.data.slice() },
          { start: 0, end, timeoutMs: 60_000 },
        )
        assert.ok(maxAbs(output, await golden(`block${end - 1}_output`)) < 1e-4)
      }
    })

    test('a session stepped in any pieces gives what one pass gives', PATIENTLY, async () => {
      const input = row(await golden('block0_input'), 0)
      const expected = row(await golden('block2_output'), 0)
      for (const pieces of [[12], [1, 4, 1, 6], Array<number>(12).fill(1)]) {
        const session = await engine.openSession({ start: 0, end: 3, maxLength: 16, timeoutMs: 0 })
        for (const tokens of pieces) {
          const from = session.position
          const output = await session.step(piece(input, from, from + tokens))
          assert.ok(maxAbs(output, sliceRows(expected, from, from + tokens)) < 1e-4, `pieces of ${pieces}`)
        }
        session.release()
      }
    })

    test('concurrent sessions share runs and give what each gives alone', PATIENTLY, async () => {
      const input = row(await golden('block0_input'), 0)
      const expected = row(await golden('block2_output'), 0)
      let runs = 0
      const count = (): void => {
        runs++
      }
      engine.on('run', count)
      const sessions = await Promise.all(
        Array.from({ length: 8 }, () => engine.openSession({ start: 0, end: 3, maxLength: 16, timeoutMs: 0 })),
      )
      await Promise.all(
        sessions.map(async (session, i) => {
          await session.step(piece(input, 0, i + 1))
          for (let at = i + 1; at < 12; at++) {
            assert.ok(maxAbs(await session.step(piece(input, at, at + 1)), sliceRows(expected, at, at + 1)) < 1e-4)
          }
          session.release()
        }),
      )
      engine.off('run', count)
      const steps = sessions.length + Array.from(sessions, (_, i) => 11 - i).reduce((a, b) => a + b, 0)
      assert.ok(runs < steps / 2, `${runs} runs for ${steps} steps`)
    })

    test('a session cut back goes on as if the rest had never been', PATIENTLY, async () => {
      const input = row(await golden('block0_input'), 0),
        other = row(await golden('block0_input'), 1)
      const expected = row(await golden('block2_output'), 0)
      const session = await engine.openSession({ start: 0, end: 3, maxLength: 16, timeoutMs: 0 })
      await session.step(piece(input, 0, 6))
      await session.step(piece(other, 6, 12))
      session.truncate(6)
      assert.ok(maxAbs(await session.step(piece(input, 6, 12)), sliceRows(expected, 6, 12)) < 1e-4)
      session.release()
    })

    test(
      'a fork goes on as its session would have, whatever that held and however long its row is',
      PATIENTLY,
      async () => {
        const input = row(await golden('block0_input'), 0),
          other = row(await golden('block0_input'), 1)
        const expected = row(await golden('block2_output'), 0)
        const long = await Engine.load({
          checkpoint,
          start: 0,
          end: 3,
          device,
          dtype: 'float32',
          ...THREADS,
          cacheTokens: 384,
        })
        for (const [host, maxLength] of [
          [engine, 100],
          [long, 128],
        ] as const) {
          const source = await host.openSession({ start: 0, end: 3, maxLength: 16, timeoutMs: 0 })
          const forks = await Promise.all(
            [maxLength, maxLength - 20].map((length) =>
              host.openSession({ start: 0, end: 3, maxLength: length, timeoutMs: 0 }),
            ),
          )
          await Promise.all([source.step(piece(input, 0, 8)), ...forks.map((fork) => fork.step(piece(other, 0, 12)))])
          await Promise.all(forks.map((fork) => fork.forkFrom(source, 6)))
          await source.step(piece(other, 8, 12))
          await Promise.all(
            forks.map(async (fork) => {
              assert.equal(fork.position, 6)
              for (let at = 6; at < 12; at++)
                assert.ok(maxAbs(await fork.step(piece(input, at, at + 1)), sliceRows(expected, at, at + 1)) < 1e-4)
            }),
          )
          for (const session of [source, ...forks]) session.release()
        }
        await long.close()
      },
    )

    test('a fork is refused where it cannot be, and leaves the session empty where it fails', PATIENTLY, async () => {
      const input = row(await golden('block0_input'), 0)
      const options = { start: 0, end: 3, maxLength: 16, timeoutMs: 0 }
      const [source, fork, part] = await Promise.all(
        [options, { ...options, maxLength: 4 }, { ...options, end: 2 }].map((each) => engine.openSession(each)),
      )
      await source!.step(piece(input, 0, 8))
      await assert.rejects(fork!.forkFrom(source!, 9), { code: 'SESSION_POSITION' })
      await assert.rejects(fork!.forkFrom(source!, 8), { code: 'SESSION_OVERFLOW' })
      await part!.step(piece(input, 0, 3))
      await assert.rejects(part!.forkFrom(source!, 2), { code: 'SESSION_FORK' })
      assert.equal(part!.position, 0)
      source!.release()
      await assert.rejects(fork!.forkFrom(source!, 2), { code: 'SESSION_CLOSED' })
      fork!.release()
      part!.release()
    })

    test('limits are errors with a cure, and the cache is given back', PATIENTLY, async () => {
      await assert.rejects(engine.openSession({ start: 0, end: 4, maxLength: 16, timeoutMs: 0 }), {
        code: 'SPAN_NOT_HELD',
      })
      await assert.rejects(engine.openSession({ start: 0, end: 3, maxLength: 129, timeoutMs: 0 }), {
        code: 'SESSION_TOO_LONG',
      })
      const sessions = await Promise.all(
        Array.from({ length: 16 }, () => engine.openSession({ start: 0, end: 3, maxLength: 128, timeoutMs: 0 })),
      )
      await assert.rejects(engine.openSession({ start: 0, end: 3, maxLength: 1, timeoutMs: 20 }), {
        code: 'CACHE_FULL',
      })
      const waiting = engine.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 5000 })
      sessions.forEach((session) => session.release())
      ;(await waiting).release()
      assert.equal(engine.cacheTokensLeft, engine.cacheTokens)
    })
  })
}

test('an engine whose adapters find no room gives the memory of its cache back', async (context) => {
  const heap = threadRuntime.heap(CPU)
  const held = new Set<bigint>()
  const allocate = heap.allocate.bind(heap),
    free = heap.free.bind(heap)
  context.mock.method(heap, 'allocate', (bytes: number) => {
    // Keys and values of three blocks come first.
    if (held.size === 6) throw new PetalsError('RUNTIME_MEMORY', 'no room')
    const address = allocate(bytes)
    held.add(address)
    return address
  })
  context.mock.method(heap, 'free', (address: bigint) => {
    held.delete(address)
    free(address)
  })
  const checkpoint = await openCheckpoint(FOLDER)
  const options = { checkpoint, start: 0, end: 3, device: CPU, dtype: 'float32', ...THREADS, cacheTokens: 128 } as const
  await assert.rejects(Engine.load({ ...options, adapterBytes: 1 << 20 }), { code: 'RUNTIME_MEMORY' })
  assert.equal(held.size, 0)
})

test('the ends of a model embed ids and give the reference logits', async () => {
  const checkpoint = await openCheckpoint(FOLDER)
  const ends = await ModelEnds.load({ checkpoint, ...THREADS })
  try {
    const input = row(await golden('block0_input'), 0)
    const ids = [...new BigInt64Array((await goldenIds()).buffer)].slice(0, 12).map(Number)
    assert.ok(maxAbs(await ends.embed(ids), input) < 1e-6)
    const logits = await ends.head(asFloat32(row(await golden('block2_output'), 0)))
    assert.ok(maxAbs(fromFloat32(logits, [12, 128]), row(await golden('logits'), 0)) < 1e-4)
    await assert.rejects(ends.embed([128]), { code: 'TOKEN_ID' })
  } finally {
    await ends.close()
  }
})

async function goldenIds(): Promise<Uint8Array> {
  const { readFile } = await import('node:fs/promises')
  const slice = (await readSafetensorsHeader(`${FOLDER}/golden.safetensors`)).find(({ name }) => name === 'input_ids')!
  return Uint8Array.from((await readFile(slice.file)).subarray(slice.offset, slice.offset + slice.byteLength))
}
