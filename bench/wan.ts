import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { Link, type LinkOptions } from '../test/link.ts'
import { MODEL, SPANS, withSwarm } from './linked-swarm.ts'
import { median } from './statistics.ts'

const ROUND_TRIPS_MS = [5, 20, 80]
const WARM_UP_TOKENS = 48
const TOKENS = 64
const PROMPT_TOKENS = 2000
const BYTES_PER_SECOND = 50e6 / 8

/**
 * Decoding and prompts over long and slow links. Four servers in this process, each behind a link of its own: every way
 * to it, from the client or from the server before, takes half a round trip. What ways take is measured beside it, by
 * bare sockets through such a link, so that a busy machine slows both.
 */
export async function benchWan(): Promise<void> {
  for (const roundTripMs of ROUND_TRIPS_MS) {
    const link = { delayMs: roundTripMs / 2 }
    const alone = await decode({})
    const before = await bareWays(link, 64)
    const tokenMs = await decode(link)
    const ways = (before + (await bareWays(link, 64))) / 2
    const [ideal, bound] = [(SPANS.length + 1) * (roundTripMs / 2) + alone, ways + alone]
    console.log(
      `${roundTripMs} ms: ${(1000 / tokenMs).toFixed(1)} tokens/s, ${tokenMs.toFixed(1)} ms a token; without links ` +
        `${alone.toFixed(1)} ms, with bare ways ${bound.toFixed(1)} ms: ${share(bound, tokenMs)} of what ` +
        `they allow (goal: at least 90 %); on an idle machine they would take ${ideal.toFixed(1)} ms`,
    )
  }
  await prompt()
}

function share(bound: number, took: number): string {
  return `${((100 * bound) / took).toFixed(0)} %`
}

/** How long so many bytes take over as many ways as a step has, one after another: bare sockets, the median of some. */
async function bareWays(options: LinkOptions, bytes: number): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let got = 0
    socket.on('data', ({ byteLength }: Buffer) => {
      got += byteLength
      if (got < bytes) return
      got = 0
      socket.write(Buffer.alloc(bytes))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const link = await Link.open((server.address() as AddressInfo).port, options)
  const socket = connect({ host: '127.0.0.1', port: link.port, noDelay: true })
  const times: number[] = []
  for (let round = 0; round < (bytes > 1000 ? 3 : 16); round++) {
    const began = performance.now()
    socket.write(Buffer.alloc(bytes))
    for (let left = bytes; left > 0;) left -= ((await once(socket, 'data')) as [Buffer])[0].byteLength
    times.push(performance.now() - began)
  }
  socket.destroy()
  await link.close()
  server.close()
  return (median(times) / 2) * (SPANS.length + 1)
}

/** Milliseconds of a token, the median of some. */
async function decode(link: LinkOptions): Promise<number> {
  return withSwarm(link, async (model) => {
    const times: number[] = []
    let last = performance.now()
    for await (const { tokenIds } of model.stream([5, 17, 3], {
      maxNewTokens: WARM_UP_TOKENS + TOKENS,
      eosTokenIds: [],
    })) {
      if (tokenIds.length === 0) continue
      times.push(performance.now() - last)
      last = performance.now()
    }
    return median(times.slice(WARM_UP_TOKENS))
  })
}

/** The time to the first token of a long prompt, beside the time that its bytes need at least. */
async function prompt(): Promise<void> {
  const ids = Array.from({ length: PROMPT_TOKENS }, (_, i) => (i * 31) % 1000)
  const firstToken = (link: LinkOptions): Promise<number> =>
    withSwarm(link, async (model) => {
      for await (const { tokenIds } of model.stream([5], { maxNewTokens: 4, eosTokenIds: [] })) void tokenIds
      const began = performance.now()
      for await (const { tokenIds } of model.stream(ids, { maxNewTokens: 1, eosTokenIds: [] })) void tokenIds
      return performance.now() - began
    })
  const link = { bytesPerSecond: BYTES_PER_SECOND, delayMs: 40 }
  const { config } = await openCheckpoint(MODEL)
  const bytes = PROMPT_TOKENS * config.hiddenSize * 4
  const [alone, ways, slow] = [await firstToken({}), await bareWays(link, bytes), await firstToken(link)]
  const ideal = (SPANS.length + 1) * ((bytes * 1000) / BYTES_PER_SECOND + 40)
  console.log(
    `first token of ${PROMPT_TOKENS} at 50 Mbit/s and 80 ms: ${slow.toFixed(0)} ms; without links ` +
      `${alone.toFixed(0)} ms; the same bytes over ${SPANS.length + 1} bare ways, one after another, ` +
      `${ways.toFixed(0)} ms (by the rate ${ideal.toFixed(0)} ms): ${share(ways + alone, slow)} of what both allow`,
  )
}
