import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InputLog } from '../../../../src/client/session/inputs/input-log.ts'
import { ReplayMemory } from '../../../../src/client/session/inputs/replay-memory.ts'
import { TestSwarm, expected, hidden, tokensOf } from '../servers.ts'

const CHUNK_BYTES = 64 * 4
const rows = (count: number) => hidden(Array.from({ length: count }, (_, i) => i))

test('logs of several sessions share one bound: the largest gives way', () => {
  const memory = new ReplayMemory(4 * CHUNK_BYTES)
  const [large, small] = [new InputLog(1, memory), new InputLog(1, memory)]
  large.write(0, rows(3 * 64))
  small.write(0, rows(64))
  assert.deepEqual([large.until, small.until, memory.bytes], [192, 64, 4 * CHUNK_BYTES])
  small.write(64, rows(1))
  assert.deepEqual([large.until, small.until, memory.bytes], [0, 65, 2 * CHUNK_BYTES])
})

test('what forks share counts once, until the last of them lets go', () => {
  const memory = new ReplayMemory()
  const [source, fork] = [new InputLog(1, memory), new InputLog(1, memory)]
  source.write(0, rows(128))
  fork.copyFrom(source, 128)
  assert.equal(memory.bytes, 2 * CHUNK_BYTES)
  fork.write(100, rows(5))
  assert.equal(memory.bytes, 3 * CHUNK_BYTES)
  source.truncate(64)
  assert.equal(memory.bytes, 2 * CHUNK_BYTES)
  source.drop()
  fork.drop()
  assert.equal(memory.bytes, 0)
})

test('two sessions of one process keep no more than the bound together, and are repaired without', async (t) => {
  const swarm = new TestSwarm(t)
  const [, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const replayMemory = new ReplayMemory(2 * CHUNK_BYTES)
  const sessions = [swarm.session({ replayMemory }), swarm.session({ replayMemory })]
  const prompts = [100, 90].map((length, i) => Array.from({ length }, (_, at) => (at * 7 + i) % 101))
  const feed = async (i: number, ids: readonly number[]) => {
    prompts[i] = [...prompts[i]!.slice(0, sessions[i]!.position), ...ids]
    assert.deepEqual(tokensOf(await sessions[i]!.step(hidden(ids))), expected(prompts[i]!).slice(-ids.length))
  }
  for (const [i, prompt] of prompts.entries()) await feed(i, prompt)
  await new Promise((resolve) => {
    setTimeout(resolve, 400)
  })
  assert.ok(replayMemory.bytes > 0 && replayMemory.bytes <= 2 * CHUNK_BYTES, String(replayMemory.bytes))
  swarm.kill(last!)
  for (const i of [0, 1]) await feed(i, [5])
  for (const session of sessions) await session.close()
  assert.equal(replayMemory.bytes, 0)
})
