import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import type { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { Engine } from '../src/engine/engine.ts'
import { CPU } from '../src/runtime/device.ts'
import { WIRE_DTYPES, type WireDType } from '../src/tensor/activations.ts'
import { allFiniteInPieces } from '../src/tensor/finite.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../src/tensor/tensor.ts'
import { decodeActivations, encodeActivations } from '../src/tensor/travel.ts'
import { MODEL, SPANS, withSwarm } from './linked-swarm.ts'
import { demoLoss, signed } from './quant-error.ts'
import { median } from './statistics.ts'
import { WideSwarm } from './wide-swarm.ts'

/** Hidden states of 2,000 tokens of a model 4,096 wide. */
const [ROWS, WIDTH] = [2000, 4096]
const ROUNDS = 7

const PROMPT_TOKENS = 2000
const PROMPT_ROUNDS = 3
const SLOW = { bytesPerSecond: 50e6 / 8, delayMs: 40 }

/**
 * What each form of activations on the wire costs and saves: time of its conversion, the demo model's loss, its texts,
 * bytes of a token, and the time to the first token of a long prompt over slow links.
 */
export async function benchWire(): Promise<void> {
  for (const wire of WIRE_DTYPES) await conversions(wire)
  for (const [what, cuts] of [
    ['four spans', SPANS.map(([, end]) => end)],
    ['every block a span', [1, 2, 3, 4, 5, 6, 7, 8]],
  ] as const) {
    const exact = await lossAt(cuts, 'float32')
    console.log(`demo, 512 held-out tokens, ${what}: ${exact.toFixed(4)} nats`)
    for (const wire of WIRE_DTYPES.slice(1))
      console.log(`  ${wire.padEnd(9)} ${signed((await lossAt(cuts, wire)) - exact)} nats`)
  }
  await withSwarm({}, texts)
  await wideStates()
  await withSwarm(SLOW, slowPrompts)
}

/** The processor time of this thread, in milliseconds: a busy machine does not make it more. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Nanoseconds per element of each conversion, and the longest that it kept the event loop from its turn. */
async function conversions(wire: WireDType): Promise<void> {
  const values = fromFloat32(
    Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i) * (i % 97)),
    [ROWS, WIDTH],
  )
  const sent = await encodeActivations(values, wire)
  const figures: string[] = []
  for (const [what, work] of [
    ['encode', () => encodeActivations(values, wire)],
    ['check', () => allFiniteInPieces(sent)],
    ['decode', () => decodeActivations(sent, 'float32')],
  ] as const) {
    const times: number[] = []
    const longest: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const gaps = new Gaps()
      const began = threadMs()
      await work()
      times.push(threadMs() - began)
      longest.push(await gaps.end())
    }
    const ns = (median(times) * 1e6) / (ROWS * WIDTH)
    figures.push(`${what} ${ns.toFixed(2)} ns an element, ${median(longest).toFixed(1)} ms at most at a time`)
  }
  const bytes = sent.data.byteLength / (ROWS * WIDTH)
  console.log(`${wire.padEnd(9)} ${bytes.toFixed(4)} bytes an element; ${figures.join('; ')}`)
}

/** Measures the most processor time between two turns of the event loop. */
class Gaps {
  #isOver = false
  readonly #watching = this.#watch()

  /** Ends the measurement; in milliseconds. */
  end(): Promise<number> {
    this.#isOver = true
    return this.#watching
  }

  async #watch(): Promise<number> {
    let longest = 0
    for (let last = threadMs(); !this.#isOver;) {
      await setImmediate()
      const now = threadMs()
      longest = Math.max(longest, now - last)
      last = now
    }
    return longest
  }
}

/** The demo model's loss where hidden states travel between spans that end at these blocks, and the client. */
function lossAt(ends: readonly number[], wire: WireDType): Promise<number> {
  return demoLoss(async (checkpoint, embedded) => {
    const threads = { threads: availableParallelism(), spin: false }
    const numBlocks = ends.at(-1)!
    const span = { start: 0, end: numBlocks, device: CPU, dtype: 'float32', cacheTokens: 1024 } as const
    const engine = await Engine.load({ checkpoint, ...span, ...threads })
    try {
      let hidden = await travelled(embedded, wire)
      for (const [i, end] of ends.entries()) {
        const start = ends[i - 1] ?? 0
        hidden = await travelled(await engine.forward(hidden, { start, end, timeoutMs: 60_000 }), wire)
      }
      return asFloat32(hidden)
    } finally {
      await engine.close()
    }
  })
}

async function travelled(hidden: Tensor, wire: WireDType): Promise<Tensor> {
  const { data, ...rest } = await decodeActivations(await encodeActivations(hidden, wire), 'float32')
  return { ...rest, data: data.slice() }
}

/** The greedy continuations of some prompts in each form, and the bytes that a token takes on all ways together. */
async function texts(model: AutoDistributedModelForCausalLM, bytesSent: () => number): Promise<void> {
  const { greedy } = JSON.parse(await readFile(`${MODEL}-golden.json`, 'utf8')) as { greedy: GoldenText[] }
  for (const wire of WIRE_DTYPES) {
    const equal: string[] = []
    const perToken: number[] = []
    for (const { input_ids: prompt, greedy_ids: expected } of greedy) {
      await using session = model.inferenceSession({ maxLength: expected.length, wireDType: wire, replayCopies: 'off' })
      const ids = [...prompt]
      let before = 0
      const maxNewTokens = expected.length - prompt.length
      for await (const { tokenIds } of session.generate(prompt, { maxNewTokens, eosTokenIds: [] })) {
        ids.push(...tokenIds)
        if (before > 0 && tokenIds.length === 1) perToken.push(bytesSent() - before)
        before = bytesSent()
      }
      equal.push(`${commonLength(ids, expected) - prompt.length} of ${maxNewTokens}`)
    }
    console.log(
      `${wire.padEnd(9)} ${median(perToken)} bytes a token on ${SPANS.length + 1} ways, 256 values wide; ` +
        `tokens as in the reference, up to the first other one: ${equal.join(', ')}`,
    )
  }
}

interface GoldenText {
  readonly input_ids: number[]
  readonly greedy_ids: number[]
}

function commonLength(ids: readonly number[], others: readonly number[]): number {
  const first = ids.findIndex((id, i) => id !== others[i])
  return first < 0 ? ids.length : first
}

/** The time to the first token of a long prompt of the demo model over slow links. */
async function slowPrompts(model: AutoDistributedModelForCausalLM, bytesSent: () => number): Promise<void> {
  const ids = Array.from({ length: PROMPT_TOKENS }, (_, i) => (i * 31) % 1000)
  await inTurn('the demo model', async (wire) => {
    await using session = model.inferenceSession({ maxLength: 2048, wireDType: wire, replayCopies: 'off' })
    await session.next([5])
    session.position = 0
    return await measured(bytesSent, () => session.next(ids))
  })
}

/** The same where nothing is computed: two stand-ins for spans of a model 4,096 wide. */
async function wideStates(): Promise<void> {
  const swarm = await WideSwarm.start(SLOW, WIDTH)
  const states = fromFloat32(
    Float32Array.from({ length: PROMPT_TOKENS * WIDTH }, (_, i) => (i % WIDTH === 0 ? i / WIDTH : Math.sin(i))),
    [PROMPT_TOKENS, WIDTH],
  )
  try {
    await inTurn(`${WIDTH} wide, nothing computed`, async (wire) => {
      await using session = swarm.session(wire)
      await session.step(fromFloat32(new Float32Array(WIDTH), [1, WIDTH]))
      session.position = 0
      return await measured(
        () => swarm.bytesSent(),
        () => session.step(states, { rows: 1 }),
      )
    })
  } finally {
    await swarm.stop()
  }
}

interface Measured {
  readonly ms: number
  readonly bytes: number
}

async function measured(bytesSent: () => number, work: () => Promise<unknown>): Promise<Measured> {
  const [began, before] = [performance.now(), bytesSent()]
  await work()
  return { ms: performance.now() - began, bytes: bytesSent() - before }
}

/** Measures the forms in turn, so that a busy machine slows all of them. */
async function inTurn(what: string, measure: (wire: WireDType) => Promise<Measured>): Promise<void> {
  const found = new Map<WireDType, Measured[]>(WIRE_DTYPES.map((wire) => [wire, []]))
  for (let round = 0; round < PROMPT_ROUNDS; round++)
    for (const wire of WIRE_DTYPES) found.get(wire)!.push(await measure(wire))
  for (const [wire, all] of found) {
    const times = all.map(({ ms }) => ms)
    console.log(
      `first token of ${PROMPT_TOKENS} at 50 Mbit/s and 80 ms, ${what}, as ${wire.padEnd(9)} ` +
        `${median(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)} at least), ` +
        `${(all[0]!.bytes / 1e6).toFixed(2)} MB on all ways`,
    )
  }
}
