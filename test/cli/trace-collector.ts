import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { Span as BlockSpan } from '../../src/base/span.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'

export interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number; readonly doubleValue?: number }
}

export interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
  readonly status: { readonly code: number }
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly events: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[]
}

/** The JSON form of OTLP's ExportTraceServiceRequest. */
interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[]
}

/** A collector that keeps what it is sent. */
export async function collect(
  t: TestContext,
  answer: 'takes' | 'hangs' = 'takes',
): Promise<{ url: string; got: Span[] }> {
  const got: Span[] = []
  const server: Server = createServer(async (request, response) => {
    assert.equal(request.url, '/v1/traces')
    const { resourceSpans } = JSON.parse(await text(request)) as Export
    got.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)))
    if (answer === 'takes') response.setHeader('content-type', 'application/json').end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, got }
}

/** Variables for this process and all that it starts, until the test ends. */
export function setVariables(t: TestContext, variables: Record<string, string>): void {
  Object.assign(process.env, variables)
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name]
  })
}

const HALVES = [
  [0, 4],
  [4, 8],
] as const

export async function startSwarm(t: TestContext, spans: readonly BlockSpan[] = HALVES): Promise<LocalSwarm> {
  const swarm = await startLocalSwarm({ model: BUNDLED_MODEL, spans, bootstrap: false, threads: 1 })
  t.after(() => swarm.stop())
  return swarm
}

/** A swarm whose servers send what they have when they end, and no sooner, as clients of this process do. */
export async function traced(t: TestContext): Promise<{ swarm: LocalSwarm; got: Span[] }> {
  const { url, got } = await collect(t)
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '600000' })
  return { got, swarm: await startSwarm(t) }
}

/** Has all servers end in their own time, so that each sends what it has. */
export async function ended({ servers }: LocalSwarm): Promise<void> {
  await Promise.all(
    servers.map(async ({ process: server }) => {
      const exit = once(server, 'exit')
      server.kill('SIGTERM')
      assert.deepEqual(await exit, [0, null])
    }),
  )
}

export function valuesOf(attributes: readonly Attribute[]): Record<string, string | number | undefined> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.doubleValue]),
  )
}
