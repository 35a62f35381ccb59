import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { checkLibraries, packageOf, parseLoaderCache } from '../../../src/runtime/cuda/cuda-libraries.ts'

const NEEDED = ['libcublasLt.so.13', 'libcublas.so.13', 'libcurand.so.10', 'libcudart.so.13', 'libcuda.so.1']

describe('the libraries that a provider needs', () => {
  const root = mkdtempSync(join(tmpdir(), 'petals-cuda-'))
  after(() => rmSync(root, { recursive: true }))
  const folder = (name: string, ...files: string[]): string => {
    mkdirSync(join(root, name), { recursive: true })
    for (const file of files) writeFileSync(join(root, name, file), '')
    return join(root, name)
  }

  test('are looked for where the loader looks, and then where CUDA usually lies', () => {
    const loader = [folder('loader', 'libcublas.so.13')]
    const usual = [folder('usual', 'libcublas.so.13', 'libcublasLt.so.13')]
    const checks = checkLibraries(NEEDED, { loader, cached: new Map([['libcuda.so.1', '/lib/libcuda.so.1']]), usual })
    assert.deepEqual(
      checks.map(({ name, path, onLoaderPath }) => [name, path, onLoaderPath]),
      [
        ['libcublasLt.so.13', join(root, 'usual', 'libcublasLt.so.13'), false],
        ['libcublas.so.13', join(root, 'loader', 'libcublas.so.13'), true],
        ['libcurand.so.10', undefined, false],
        ['libcudart.so.13', undefined, false],
        ['libcuda.so.1', '/lib/libcuda.so.1', true],
      ],
    )
  })

  test("are named with the package of the provider's own CUDA, also where their number is another one", () => {
    const missing = { loader: [], cached: new Map<string, string>(), usual: [] }
    const install = (names: string[]) => checkLibraries(names, missing).map((check) => check.install)
    assert.match(install(NEEDED)[2]!, /libcurand-13-0 .*cuda-libraries-13-0.*nvidia-curand$/)
    assert.match(install(['libcurand.so.10', 'libcudart.so.12'])[0]!, /libcurand-12-8 .*nvidia-curand-cu12$/)
  })

  for (const [name, cuda, expected] of [
    ['libcublas.so.13', '13', /apt package libcublas-13-0 .*pip package nvidia-cublas$/],
    ['libcudart.so.12', '12', /apt package cuda-cudart-12-8 .*pip package nvidia-cuda-runtime-cu12$/],
    ['libcudnn.so.9', '12', /libcudnn9-cuda-12 .*nvidia-cudnn-cu12/],
    ['libcuda.so.1', '13', /NVIDIA driver/],
    ['libstdc++.so.6', '13', /package of the system/],
  ] as const) {
    test(`${name} comes from its package for CUDA ${cuda}`, () => assert.match(packageOf(name, cuda), expected))
  }

  test("the loader's list is read, the first architecture first", () => {
    const text =
      '2 libs found in cache\n' +
      '\tlibc.so.6 (libc6,x86-64) => /lib64/libc.so.6\n' +
      '\tlibc.so.6 (libc6) => /lib32/libc.so.6\n' +
      '\tlibcuda.so.1 (libc6,x86-64, OS ABI: Linux 3.2.0) => /usr/lib/libcuda.so.1\n'
    assert.deepEqual(
      [...parseLoaderCache(text)],
      [
        ['libc.so.6', '/lib64/libc.so.6'],
        ['libcuda.so.1', '/usr/lib/libcuda.so.1'],
      ],
    )
  })
})
