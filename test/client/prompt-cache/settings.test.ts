import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CachedModel } from '../../../src/client/prompt-cache/cached-model.ts'
import { cacheKey, isSameKey, sessionLength } from '../../../src/client/prompt-cache/settings.ts'
import type { RopeConfig } from '../../../src/checkpoint/config/rope.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'

const PLAIN = { type: 'default', theta: 10_000, rotaryDim: 8 } as RopeConfig
const DYNAMIC: RopeConfig = { type: 'dynamic', theta: 10_000, rotaryDim: 8, factor: 2, originalMaxPositions: 1000 }

const config = (rope: RopeConfig) => ({ maxLength: 4096, ropes: [rope] })

const lengthOf = (needed: number, cacheTokens = 100_000, rope = PLAIN) =>
  sessionLength(needed, { least: 512, cacheTokens, config: config(rope) })

const model = (rope: RopeConfig, others: object = {}) =>
  ({ checkpoint: { config: config(rope) }, ...others }) as unknown as CachedModel

test('a session is as long as servers make it anyway, within the model and a quarter of a cache', () => {
  assert.deepEqual([lengthOf(10), lengthOf(600), lengthOf(2048), lengthOf(3000)], [512, 1024, 2048, 4096])
  assert.deepEqual([lengthOf(600, 3000), lengthOf(900, 3000), lengthOf(10, 0)], [750, 900, 10])
  assert.equal(lengthOf(5000), 5000, 'refused for what was asked')
  assert.deepEqual([lengthOf(600, 1e5, DYNAMIC), lengthOf(1500, 1e5, DYNAMIC)], [600, 1500])
  assert.equal(lengthOf(10, 1e5, DYNAMIC), 512)
})

test('what changes keys and values is another key', () => {
  const plain = model(PLAIN)
  const prompts = { before: fromFloat32(new Float32Array(8), [2, 4]) }
  const keys = [
    cacheKey(plain, {}, 100),
    cacheKey(plain, { activeAdapter: 'moby' }, 100),
    cacheKey(plain, { prompts }, 100),
    cacheKey(plain, { prompts: { ...prompts } }, 100),
    cacheKey(plain, { wireDType: 'int8' }, 100),
    cacheKey(model(DYNAMIC), {}, 100),
    cacheKey(model(DYNAMIC), {}, 1001),
    cacheKey(model(DYNAMIC, { prompts }), {}, 999),
  ]
  for (const [i, a] of keys.entries()) for (const [j, b] of keys.entries()) assert.equal(isSameKey(a, b), i === j)
  assert.ok(
    isSameKey(cacheKey(plain, {}, 100), cacheKey(plain, { activeAdapter: undefined, wireDType: undefined }, 4000)),
  )
  assert.ok(
    isSameKey(cacheKey(model(PLAIN, { activeAdapter: 'moby' }), {}, 1), cacheKey(plain, { activeAdapter: 'moby' }, 1)),
  )
})
