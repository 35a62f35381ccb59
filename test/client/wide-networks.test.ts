import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { eventually } from '../eventually.ts'
import { DEMO, type TestSwarm, startServers } from './kit.ts'

/** What goes over the wire between a client and real servers, over TCP. */
const PROMPT = Array.from({ length: 400 }, (_, i) => (i * 31) % 1000)
const ROW_BYTES = 256 * 4

let swarm: TestSwarm
let model: AutoDistributedModelForCausalLM

before(async () => {
  swarm = await startServers(DEMO, [
    [0, 3],
    [3, 6],
    [6, 8],
  ])
  model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
})

after(async () => {
  await model.close()
  await swarm.stop()
})

/** Bytes of sessions that each server sends, to the client and to the next server, while something is done. */
async function sentMeanwhile(work: () => Promise<unknown>): Promise<{ toClient: number; pushed: number }[]> {
  const before = sent()
  await work()
  return sent().map(({ toClient, pushed }, i) => ({
    toClient: toClient - before[i]!.toClient,
    pushed: pushed - before[i]!.pushed,
  }))
}

function sent() {
  return swarm.servers.map(({ node: { traffic } }) => ({
    toClient: traffic.inference.bytesSent,
    pushed: traffic.push.bytesSent,
  }))
}

test('of a prompt the last server returns one row, and its logits are those of the whole output', async () => {
  await using session = model.inferenceSession({ maxLength: 512 })
  const [, , last] = await sentMeanwhile(() => session.next(PROMPT))
  assert.ok(last!.toClient < 2 * ROW_BYTES, `${last!.toClient} bytes`)
  const logits = (await session.next([7])).slice()

  await using other = model.inferenceSession({ maxLength: 512 })
  const [, , whole] = await sentMeanwhile(() => other.step(PROMPT))
  assert.ok(whole!.toClient > PROMPT.length * ROW_BYTES)
  assert.deepEqual(await other.next([7]), logits)
  const rows = asFloat32(await model.layers.forward(await model.embed([PROMPT])))
  await using third = model.inferenceSession({ maxLength: 512 })
  const end = asFloat32(await third.step(PROMPT, { rows: 2 }))
  const error = Math.max(...end.map((value, i) => Math.abs(value - rows.at(i - end.length)!)))
  assert.ok(error < 1e-4, String(error))
})

test('copies for repairs are fetched once a step is done, and not at all where they are off', async () => {
  const few = 8 * ROW_BYTES
  await using off = model.inferenceSession({ maxLength: 512, replayCopies: 'off' })
  const quiet = await sentMeanwhile(async () => {
    await off.next(PROMPT)
    await sleep(600)
  })
  assert.ok(quiet.every(({ toClient }) => toClient < few))

  await using session = model.inferenceSession({ maxLength: 512 })
  let copies: readonly { readonly until: number }[] = []
  session.blocks.on('route', () => {
    copies = session.blocks.links.slice(1).map(({ inputs }) => inputs)
  })
  const [first] = await sentMeanwhile(() => session.next(PROMPT))
  assert.ok(first!.toClient < few, 'while the prompt is under way')
  const wanted = PROMPT.length * ROW_BYTES
  await eventually(() => copies.every(({ until }) => until === PROMPT.length))
  const all = sent()[0]!.toClient
  await sleep(600)
  assert.ok(sent()[0]!.toClient - all < few && all > wanted, 'nothing is fetched twice')
})
