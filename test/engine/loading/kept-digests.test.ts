import assert from 'node:assert/strict'
import { cp, open, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { blockDigests } from '../../../src/checkpoint/weights/block-digests.ts'
import { keptDigests } from '../../../src/engine/loading/kept-digests.ts'
import { temporaryFolder } from '../../checkpoint/write.ts'

const LLAMA = join(import.meta.dirname, '../../fixtures/llama')

test('digests are kept and taken from there; a file changed behind its size and times is hashed', async (context) => {
  const folder = await temporaryFolder(context)
  const model = join(folder, 'llama'),
    cache = join(folder, 'cache')
  await cp(LLAMA, model, { recursive: true })
  const { tensors } = await openCheckpoint(model)
  const slices = new Map([...tensors].filter(([name]) => name.includes('layers.0.')))
  const { file, offset } = [...slices.values()][0]!
  const expected = blockDigests([[...slices.values()]])
  assert.deepEqual(keptDigests([slices], undefined), expected)
  assert.deepEqual(keptDigests([slices], cache), expected)

  // What lies there is what is used, unless it is no digest.
  const [kept] = (await readdir(cache)) as [string]
  await writeFile(join(cache, kept), '0123456789abcdef')
  assert.deepEqual(keptDigests([slices], cache), ['0123456789abcdef'])
  await writeFile(join(cache, kept), '0123')
  assert.deepEqual(keptDigests([slices], cache), expected)
  assert.equal(await readFile(join(cache, kept), 'utf8'), expected[0])

  const { atime, mtime, size } = await stat(file)
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, offset)
  await handle.write(Buffer.of(byte[0]! ^ 1), 0, 1, offset)
  await handle.close()
  await utimes(file, atime, mtime)
  assert.equal((await stat(file)).size, size)
  const changed = keptDigests([slices], cache)
  assert.deepEqual(changed, blockDigests([[...slices.values()]]))
  assert.notDeepEqual(changed, expected)

  await assert.rejects(async () => keptDigests([slices], file), { code: 'QUANT_CACHE' })
})
