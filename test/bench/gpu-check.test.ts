import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { measureSpeed } from '../../bench/gpu-check/speed.ts'
import { syntheticCheckpoint, weightBytes } from '../../bench/gpu-check/synthetic.ts'
import { CPU } from '../../src/runtime/device.ts'

const MAIN = new URL('../../bench/gpu-check/main.ts', import.meta.url).pathname

function gpuCheck(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', env: { ...process.env, ...env } })
}

test('the GPU check runs the reference models on a CPU and says what it left out', () => {
  const { status, stdout, stderr } = gpuCheck(['--device', 'cpu'])
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /^ok {5}float32 {2}llama +\d\.\de-\d of 1\.0e-4$/m)
  assert.doesNotMatch(stdout, /WRONG|FAILED/)
  for (const probe of [
    "the library's cache for sliding windows",
    'experts in int4',
    'steps are recorded, with prompts',
  ])
    assert.match(stdout, new RegExp(`^(?:ok {6}|SLOWER {2}) ${probe}`, 'm'))
  for (const left of ['bfloat16', 'uploads from page-locked memory: not on cpu', 'memory and speed'])
    assert.ok(stdout.includes(`not run: ${left}`), left)
})

test('without a GPU the check says so in one sentence and fails', () => {
  const { status, stdout, stderr } = gpuCheck([], { CUDA_VISIBLE_DEVICES: '' })
  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.match(stderr, /^The GPU cannot be checked: no NVIDIA GPU.*\.\n$/)
})

test('the speed of random weights is measured through the engine, batch by batch; nothing is left behind', async () => {
  const checkpoint = syntheticCheckpoint({
    numBlocks: 2,
    hiddenSize: 64,
    intermediateSize: 96,
    numHeads: 4,
    numKvHeads: 2,
  })
  assert.equal(weightBytes(checkpoint), 2 * 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96 + 2 * 64))
  const { prefill, decode, loadedBytes } = await measureSpeed(checkpoint, {
    device: CPU,
    dtype: 'float32',
    batches: [1, 4],
    cachedTokens: 16,
    steps: 4,
  })
  assert.equal(loadedBytes, undefined)
  for (const { deviceMs, wallMs = 1 } of [prefill, decode.get(1)!, decode.get(4)!])
    assert.ok(deviceMs > 0 && wallMs > 0, `${deviceMs} ${wallMs}`)
  checkpoint[Symbol.dispose]()
  assert.ok(!existsSync(checkpoint.folder))
})
