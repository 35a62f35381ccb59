import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import { AccessControl } from '../../../src/api/access/access-control.ts'
import { Caller } from '../../../src/api/access/caller.ts'
import { readKeyFile } from '../../../src/api/access/key-file.ts'

test('keys are told apart, whichever header brings them', () => {
  const access = new AccessControl([
    { name: 'alice', key: 'key-of-alice' },
    { name: 'bob', key: 'key-of-bob' },
  ])
  assert.equal(access.identify({ authorization: 'Bearer key-of-alice' }).name, 'alice')
  assert.equal(access.identify({ authorization: 'bearer  key-of-bob ' }).name, 'bob')
  assert.equal(access.identify({ 'x-api-key': 'key-of-bob' }).name, 'bob')
  for (const headers of [
    {},
    { authorization: 'key-of-alice' },
    { authorization: 'Basic key-of-alice' },
    { authorization: 'Bearer key-of-alic' },
    { authorization: 'Bearer ' },
    { 'x-api-key': '' },
  ])
    assert.throws(() => access.identify(headers), { code: 'invalid_api_key' }, JSON.stringify(headers))
  assert.equal(new AccessControl([]).identify({}).name, 'anonymous')
})

test("a day's tokens are used up once, and come again", () => {
  let now = Date.UTC(2026, 0, 5, 23, 0)
  const caller = new Caller('alice', 100, () => now)
  caller.admit()
  caller.charge(60, 39)
  caller.admit()
  caller.charge(1, 0)
  assert.throws(
    () => caller.admit(),
    (error) => {
      const { details } = error as { details: { status: number; code: string; retryAfterSeconds: number } }
      assert.deepEqual([details.status, details.code, details.retryAfterSeconds], [429, 'insufficient_quota', 3600])
      return true
    },
  )
  now += 3_600_000
  caller.admit()
  assert.deepEqual(caller.used, { requests: 4, promptTokens: 61, completionTokens: 39 })
})

test('a key file is read, and a wrong one is refused without telling a key', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'petals-keys-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'keys.yaml')
  await writeFile(file, '- { name: alice, key: secret-1 }\n- name: bob\n  key: secret-2\n  tokensPerDay: 5\n')
  assert.deepEqual(await readKeyFile(file), [
    { name: 'alice', key: 'secret-1' },
    { name: 'bob', key: 'secret-2', tokensPerDay: 5 },
  ])
  const wrong: [string, RegExp][] = [
    ['alice: secret-1', /entry : /],
    ['- { name: alice }', /entry 0\.key/],
    ['- { name: alice, key: secret }', /entry 0\.key/],
    ['- { name: a b, key: secret-1 }', /entry 0\.name: must be/],
    ['- { name: alice, key: secret-1, tokens: 5 }', /entry 0/],
    ['- { name: alice, key: secret-1, tokensPerDay: -1 }', /entry 0\.tokensPerDay/],
    ['- { name: alice, key: secret-1 }\n- { name: alice, key: secret-2 }', /the name of alice/],
    ['- { name: alice, key: secret-1 }\n- { name: bob, key: secret-1 }', /the key of bob/],
    ['- { name: alice, key: "secret-1', /no YAML/],
  ]
  for (const [text, message] of wrong) {
    await writeFile(file, text)
    await assert.rejects(readKeyFile(file), (error) => {
      assert.ok(error instanceof UsageError)
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  }
  await assert.rejects(readKeyFile(join(folder, 'nowhere')), /nowhere/)
})
