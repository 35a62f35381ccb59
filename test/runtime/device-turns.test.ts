import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Turns } from '../../src/runtime/device-turns.ts'
import { WebGpuProcess, webGpuProcess } from '../../src/runtime/webgpu/process-state.ts'

const MODULES = new URL('../../src/runtime', import.meta.url).href

/** Takes turns, in each of which it reads a number, lets others run, and writes the next. */
const COUNTING = `
  import { workerData } from 'node:worker_threads'
  const { Turns } = await import('${MODULES}/device-turns.ts')
  const turns = new Turns(new Int32Array(workerData.state))
  const [count, pause] = [new Int32Array(workerData.count), new Int32Array(new SharedArrayBuffer(4))]
  for (let i = 0; i < 200; i++)
    turns.take(() =>
      turns.take(() => {
        const before = count[0]
        if (i % 20 === 0) Atomics.wait(pause, 0, 0, 1)
        count[0] = before + 1
      }),
    )`

test('turns of several threads never overlap, and none is left out', async () => {
  const workerData = { state: new SharedArrayBuffer(4), count: new SharedArrayBuffer(4) }
  const source = new URL(`data:text/javascript,${encodeURIComponent(COUNTING)}`)
  const workers = Array.from({ length: 4 }, () => new Worker(source, { workerData, execArgv: [] }))
  const codes = await Promise.all(workers.map(async (worker) => (await once(worker, 'exit'))[0] as number))
  assert.deepEqual(codes, [0, 0, 0, 0])
  assert.equal(new Int32Array(workerData.count)[0], 800)
})

test('a turn ends where what is done in it throws', () => {
  const turns = new Turns(new Int32Array(new SharedArrayBuffer(4)))
  assert.throws(() => turns.take(() => turns.take(() => assert.fail('within'))), /within/)
  assert.equal(
    turns.take(() => 5),
    5,
  )
})

test('all threads of a process share what is open', async () => {
  const state = new WebGpuProcess()
  assert.equal(state.handles, undefined)
  state.open({ environment: 1n, root: 2n, allocator: 3n, index: 4 })
  state.countAllocated(2 ** 40)
  state.countAllocated(-5)
  assert.deepEqual(state.handles, { environment: 1n, root: 2n, allocator: 3n, index: 4 })
  assert.equal(state.allocatedBytes, 2 ** 40 - 5)

  const before = webGpuProcess.allocatedBytes
  const code = `
    const { webGpuProcess } = await import('${MODULES}/webgpu/process-state.ts')
    webGpuProcess.countAllocated(7)`
  await once(new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { execArgv: [] }), 'exit')
  assert.equal(webGpuProcess.allocatedBytes, before + 7)
  webGpuProcess.countAllocated(-7)
})
