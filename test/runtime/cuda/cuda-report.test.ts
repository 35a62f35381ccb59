import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { chooseDevice } from '../../../src/runtime/choose-device.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { runtimeVersion } from '../../../src/runtime/locate/locate.ts'
import { visibleDevice } from '../../../src/runtime/cuda/nvml.ts'
import { cudaOptions } from '../../../src/runtime/session.ts'
import { writeElf } from '../locate/elf-writer.ts'
import { threadRuntime } from '../../../src/runtime/thread-runtime.ts'

test('a device is tried in a process of its own', () => {
  assert.equal(threadRuntime.trials.problemOf(CPU), undefined)
})

test('a device name that cannot be is refused before anything is tried', () => {
  assert.deepEqual(chooseDevice('cpu'), CPU)
  assert.throws(() => chooseDevice('gpu'), {
    code: 'USAGE',
    message: /--device gpu: expected auto, cpu, cuda, cuda:N, webgpu or webgpu:N/,
  })
})

test(
  'what CUDA lacks is named with its packages, and auto takes the CPU',
  { skip: process.platform !== 'linux' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'petals-report-'))
    const version = runtimeVersion(threadRuntime.location().library)
    writeFileSync(
      join(folder, 'libonnxruntime_providers_cuda.so'),
      writeElf({ needed: ['libcublas.so.99', 'libcudart.so.99'], versions: [version] }),
    )
    writeFileSync(join(folder, 'libonnxruntime_providers_shared.so'), writeElf({}))
    const code = `
    const { chooseDevice } = await import('${new URL('../../../src/runtime/choose-device.ts', import.meta.url)}')
    console.log(chooseDevice('auto').kind)
    try { chooseDevice('cuda:1') } catch (error) { console.log(error.code, error.message) }`
    const env = { ...process.env, PETALS_CUDA_LIBS: folder, XDG_CACHE_HOME: join(folder, 'cache') }
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      env,
    })
    assert.match(
      stdout,
      /^cpu\nUSAGE --device cuda:1: .*libcublas\.so\.99 is missing: install .*libcudart\.so\.99 is missing/,
      stderr,
    )
    rmSync(folder, { recursive: true })
  },
)

for (const [index, visible, expected] of [
  [1, undefined, 1],
  [0, '2,0', 2],
  [1, '2, 0', 0],
  [2, '2,0', undefined],
  [0, '', undefined],
  [0, 'GPU-4b-1', 'GPU-4b-1'],
  [0, 'MIG-GPU-4b/1/0', undefined],
] as const) {
  test(`CUDA's device ${index} with CUDA_VISIBLE_DEVICES=${visible} is the driver's ${expected}`, () => {
    assert.equal(visibleDevice(index, visible), expected)
  })
}

test('a CUDA session takes memory as it needs it, up to a bound, and computes float32 in full', () => {
  assert.deepEqual(cudaOptions({ kind: 'cuda', index: 2 }, { cudaGraphs: true, workspaceBytes: 1000 }), {
    device_id: '2',
    gpu_mem_limit: '1000',
    arena_extend_strategy: 'kSameAsRequested',
    enable_cuda_graph: '1',
    use_tf32: '0',
    enable_skip_layer_norm_strict_mode: '1',
  })
})
