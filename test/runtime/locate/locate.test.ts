import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { type LocateOptions, locateRuntime, runtimeVersion } from '../../../src/runtime/locate/locate.ts'
import { writeElf } from './elf-writer.ts'
import { threadRuntime } from '../../../src/runtime/thread-runtime.ts'

const RUNTIME = 'libonnxruntime.so.1'
const PROVIDER = 'libonnxruntime_providers_cuda.so'
const BRIDGE = 'libonnxruntime_providers_shared.so'

describe('looking for the runtime and a CUDA provider', { skip: process.platform !== 'linux' }, () => {
  let root: string
  let options: LocateOptions
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'petals-locate-'))
    options = { own: runtime('own', '1.29.0'), cacheFolder: join(root, 'cache'), ignoreVersion: false }
  })
  afterEach(() => rmSync(root, { recursive: true }))

  function runtime(folder: string, version: string): string {
    mkdirSync(join(root, folder), { recursive: true })
    writeFileSync(join(root, folder, RUNTIME), writeElf({ dynamicStrings: [`VERS_${version}`] }))
    return join(root, folder, RUNTIME)
  }

  function provider(folder: string, version: string): string {
    mkdirSync(join(root, folder), { recursive: true })
    writeFileSync(join(root, folder, PROVIDER), writeElf({ needed: ['libcudart.so.13'], versions: [version] }))
    writeFileSync(join(root, folder, BRIDGE), writeElf({}))
    return join(root, folder)
  }

  test('without a provider it is the runtime alone', () => {
    assert.deepEqual(locateRuntime({ ...options, packaged: join(root, 'nothing') }), { library: options.own })
  })

  test('a provider beside the runtime needs no links', () => {
    const folder = provider('own', '1.29.0')
    assert.deepEqual(locateRuntime(options), { library: options.own, provider: { folder, source: 'onnxruntime-node' } })
    assert.ok(!existsSync(options.cacheFolder))
  })

  test('a provider from elsewhere is linked beside the runtime, once for all processes', () => {
    const packaged = provider('package', '1.29.0')
    const { library, provider: found } = locateRuntime({ ...options, packaged })
    assert.deepEqual(found, { folder: packaged, source: 'npm' })
    for (const [name, target] of [
      [RUNTIME, options.own],
      [PROVIDER, join(packaged, PROVIDER)],
      [BRIDGE, join(packaged, BRIDGE)],
    ] as const) {
      assert.equal(realpathSync(join(dirname(library), name)), realpathSync(target))
    }
    assert.equal(locateRuntime({ ...options, packaged }).library, library)
    writeFileSync(join(packaged, BRIDGE), writeElf({ needed: ['libc.so.6'] }))
    assert.notEqual(locateRuntime({ ...options, packaged }).library, library)
    assert.ok(readdirSync(options.cacheFolder).every((name) => name.startsWith('1.29.0-')))
  })

  test('the folder that the user gives goes before all others, with the runtime that lies in it', () => {
    const given = provider('given', '1.29.0')
    provider('own', '1.29.0')
    assert.equal(locateRuntime({ ...options, given }).provider?.source, 'PETALS_CUDA_LIBS')
    const own = runtime('given', '1.29.0')
    assert.equal(locateRuntime({ ...options, given }).library, own)
  })

  test('a folder given without a provider in it is an error that names both', () => {
    mkdirSync(join(root, 'empty'))
    assert.throws(() => locateRuntime({ ...options, given: join(root, 'empty') }), {
      code: 'RUNTIME_LIBRARY',
      message: /PETALS_CUDA_LIBS .*empty.*providers_cuda/,
    })
  })

  test('a provider of another version is refused, unless the user insists', () => {
    const packaged = provider('package', '1.28.0')
    const { library, provider: found } = locateRuntime({ ...options, packaged })
    assert.equal(library, options.own)
    assert.equal(found?.problem?.code, 'RUNTIME_VERSION')
    assert.match(found?.problem?.message ?? '', /1\.28\.0.*1\.29\.0.*PETALS_IGNORE_DEPENDENCY_VERSION/)
    const insisting = locateRuntime({ ...options, packaged, ignoreVersion: true })
    assert.equal(insisting.provider?.problem, undefined)
    assert.notEqual(insisting.library, options.own)
  })

  test('where links cannot be made the CPU still works and the reason is kept', () => {
    const packaged = provider('package', '1.29.0')
    writeFileSync(join(root, 'file'), '')
    const { library, provider: found } = locateRuntime({
      ...options,
      packaged,
      cacheFolder: join(root, 'file', 'cache'),
    })
    assert.equal(library, options.own)
    assert.match(found?.problem?.message ?? '', /package cannot be put beside the runtime: E/)
  })

  test('the real runtime, loaded through links, looks for its provider among them', () => {
    const given = provider('given', runtimeVersion(threadRuntime.location().library))
    const code = `
      const { createEnvironment } = await import('${new URL('../../../src/runtime/environment.ts', import.meta.url)}')
      const { ort } = createEnvironment({ threads: 1, spin: false })
      const options = ort.create('CreateCUDAProviderOptions')
      try { ort.call('UpdateCUDAProviderOptions', options, ['device_id'], ['0'], 1) }
      catch (error) { console.log(ort.path, error.message) }`
    const env = { ...process.env, PETALS_CUDA_LIBS: given, XDG_CACHE_HOME: join(root, 'home') }
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      env,
    })
    const folder = join(root, 'home', 'petals-node', 'onnxruntime')
    assert.ok(stdout.startsWith(folder), stdout + stderr)
    assert.match(stdout, new RegExp(`Failed to load library ${folder}/[^/]+/libonnxruntime_providers_\\w+\\.so`))
  })
})
