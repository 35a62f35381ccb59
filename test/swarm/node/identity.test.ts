import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'

const folder = await mkdtemp(join(tmpdir(), 'petals-identity-'))
after(() => rm(folder, { recursive: true }))

test('without a file each identity is a fresh Ed25519 key', async () => {
  const [a, b] = [await loadIdentity(), await loadIdentity()]
  assert.equal(a.type, 'Ed25519')
  assert.equal(a.equals(b), false)
})

test('a missing identity file is created for its owner only, and read again', async () => {
  const file = join(folder, 'new', 'identity')
  const created = await loadIdentity(file)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.equal((await loadIdentity(file)).equals(created), true)
})

test('two nodes that create one file at the same time get the same key', async () => {
  const file = join(folder, 'shared')
  const keys = await Promise.all([loadIdentity(file), loadIdentity(file), loadIdentity(file)])
  assert.ok(keys.every((key) => key.equals(keys[0]!)))
})

test('a truncated or foreign identity file is refused by name and left alone', async () => {
  const file = join(folder, 'truncated')
  await loadIdentity(file)
  await truncate(file, 40)
  await assert.rejects(loadIdentity(file), { code: 'SWARM_IDENTITY', message: new RegExp(`${file}.*40 bytes`) })
  await writeFile(file, 'not a key')
  await assert.rejects(loadIdentity(file), { code: 'SWARM_IDENTITY' })
  assert.equal(await readFile(file, 'utf8'), 'not a key')
  await assert.rejects(loadIdentity(folder), { code: 'SWARM_IDENTITY', message: new RegExp(folder) })
})
