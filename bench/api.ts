import { setTimeout as sleep } from 'node:timers/promises'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { ChildNode } from '../src/cli/process/child-node.ts'
import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import { readMetric } from './metrics.ts'
import { median } from './statistics.ts'

const MODEL = new URL('../models/demo', import.meta.url).pathname
const SPANS = [
  [0, 3],
  [3, 6],
  [6, 8],
] as const
const TOKENS = 64
const STREAMS = 64
const ROUNDS = 5

/** How long memory is given to come back: what is garbage is collected meanwhile. */
const REST_MS = 15_000

/**
 * The API over a swarm of three servers, all in processes of their own: 64 streams at once against one, and the time
 * for each token against that of the library's `generate`.
 */
export async function benchApi(): Promise<void> {
  const swarm = await startLocalSwarm({ model: MODEL, spans: SPANS, threads: 1 })
  const api = new ChildNode('api', ['api', '--model', MODEL, '--bootstrap', swarm.bootstrap, '--port', '0'])
  const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap] })
  try {
    const port = (await api.ready()).httpPort!
    await perToken(port, model)
    await together(port)
  } finally {
    await model.close()
    await api.stop()
    await swarm.stop()
  }
}

/** Milliseconds between tokens: of the API, and of `generate` on the same swarm, in turns. */
async function perToken(port: number, model: AutoDistributedModelForCausalLM): Promise<void> {
  const ratios: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const { promptMs: _, ...streamed } = await stream(port, `In the year ${round} of the Union`)
    const began = await model.generate(`In the year ${round} of the States`, { maxNewTokens: TOKENS, eosTokenIds: [] })
    const own = ((began.seconds - began.prefillSeconds) * 1000) / (TOKENS - 1)
    // The first round warms up.
    if (round === 0) continue
    ratios.push(streamed.perTokenMs / own)
    console.log(`API ${streamed.perTokenMs.toFixed(2)} ms a token, generate ${own.toFixed(2)} ms`)
  }
  console.log(`median ratio ${median(ratios).toFixed(3)} (goal: at most 1.1)`)
}

async function together(port: number): Promise<void> {
  const memory = (): Promise<number> => readMetric(port, 'process_resident_memory_bytes')
  const began = performance.now()
  const alone: number[] = []
  for (let i = 0; i < 3; i++) alone.push((await stream(port, `Alone ${i}`)).seconds)
  const oneRate = TOKENS / median(alone)
  const before = await memory()
  const start = performance.now()
  const all = await Promise.all(Array.from({ length: STREAMS }, (_, i) => stream(port, `The number ${i} is`)))
  const seconds = (performance.now() - start) / 1000
  const peak = await memory()
  const rate = (STREAMS * TOKENS) / seconds
  const times = all.map((each) => each.seconds)
  const lost = all.filter(({ tokens }) => tokens !== TOKENS).length
  console.log(
    `${STREAMS} streams: ${lost} lost, slowest ` +
      `${(Math.max(...times) / Math.min(...times)).toFixed(2)} times the fastest (goal: at most 2), ` +
      `${rate.toFixed(0)} tokens/s, ${(rate / oneRate).toFixed(2)} times one stream's ` +
      `${oneRate.toFixed(0)} (goal: at least 3)`,
  )
  const delay = await readMetric(port, 'petals_event_loop_delay_max_seconds')
  console.log(
    `event loop held up for ${(delay * 1000).toFixed(1)} ms at most in the last ` +
      `${((performance.now() - began) / 1000).toFixed(0)} s (goal: 20)`,
  )
  await sleep(REST_MS)
  console.log(`memory ${mib(before)} MiB before, ${mib(peak)} with all streams, ${mib(await memory())} after`)
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0)
}

interface Streamed {
  readonly tokens: number
  readonly seconds: number
  readonly promptMs: number
  /** Between two tokens, as the client gets them. */
  readonly perTokenMs: number
}

/** One streamed chat of `TOKENS` tokens. */
async function stream(port: number, content: string): Promise<Streamed> {
  const began = performance.now()
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'demo',
      messages: [{ role: 'user', content }],
      max_tokens: TOKENS,
      ignore_eos: true,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
  })
  let firstAt: number | undefined
  let lastAt = began
  let tokens = 0
  let rest = ''
  const decoder = new TextDecoder()
  for await (const piece of response.body!) {
    const events = (rest + decoder.decode(piece, { stream: true })).split('\n\n')
    rest = events.pop()!
    for (const event of events) {
      if (event.includes('"content":"') && !event.includes('"role"')) {
        lastAt = performance.now()
        firstAt ??= lastAt
      }
      tokens = Number(/"completion_tokens":(\d+)/.exec(event)?.[1] ?? tokens)
    }
  }
  const promptMs = (firstAt ?? began) - began
  return {
    tokens,
    promptMs,
    seconds: (performance.now() - began) / 1000,
    perTokenMs: (lastAt - began - promptMs) / (TOKENS - 1),
  }
}
