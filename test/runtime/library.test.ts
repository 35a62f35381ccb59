import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { RuntimeError, runtimeError } from '../../src/runtime/errors.ts'
import { createEnvironment } from '../../src/runtime/environment.ts'
import { wrapTensor } from '../../src/runtime/values.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'

function urlOf(module: string): string {
  return new URL(`../../src/runtime/${module}.ts`, import.meta.url).href
}

test('the library stays loaded when everything that could be collected is', () => {
  const script = `
    const { createEnvironment } = await import('${urlOf('environment')}')
    const { memoryInfo } = await import('${urlOf('values')}')
    const env = createEnvironment({ threads: 1, spin: false })
    for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)) }
    env.ort.release('ReleaseMemoryInfo', memoryInfo(env.ort, { kind: 'cpu', index: 0 }))
    console.log('alive')`
  const child = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(child.signal, null)
  assert.equal(child.stdout.trim(), 'alive', child.stderr)
})

test('a refused call is a typed error in readable words', () => {
  const { ort } = createEnvironment({ threads: 1, spin: false })
  const memory = ort.create('CreateMemoryInfo', 'Cpu', 0, 0, 0)
  assert.throws(() => wrapTensor(ort, memory, 'float32', [-1], new Float32Array(1)), RuntimeError)
  ort.release('ReleaseMemoryInfo', memory)
})

test("messages lose the paths of the library's build and gain a code", () => {
  const memory = runtimeError(
    'RunWithBinding',
    '/onnxruntime_src/core/framework/bfc_arena.cc:376 void* Alloc(size_t) Failed to allocate memory for ' +
      'requested buffer of size 17',
  )
  assert.equal(memory.code, 'RUNTIME_MEMORY')
  assert.doesNotMatch(memory.message, /onnxruntime_src/)
  assert.equal(
    runtimeError('RunWithBinding', 'Exiting due to terminate flag being set to true.').code,
    'RUNTIME_CANCELLED',
  )
})

test('a library that does not exist is one clear error', () => {
  threadRuntime.onnxRuntime()
  const script = `await import('${urlOf('library')}')
    .then((m) => m.bindOnnxRuntime('/no/such/libonnxruntime.so'))
    .catch((error) => console.log(error.code, error.message))`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.match(child.stdout, /^RUNTIME_LIBRARY cannot load \/no\/such/)
})
