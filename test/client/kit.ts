import { readFile } from 'node:fs/promises'
import { pino } from 'pino'
import type { Adapter } from '../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { type LocalSwarm, type LocalSwarmOptions, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type RunningServer, serve } from '../../src/server/serve.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../src/swarm/node/node.ts'
import type { Quantization } from '../../src/tensor/quantize.ts'

const silent = pino({ level: 'silent' })

export const DEMO = new URL('../../models/demo', import.meta.url).pathname

export interface GoldenText {
  prompt: string
  input_ids: number[]
  greedy_ids: number[]
  text: string
}

export async function goldenTexts(): Promise<GoldenText[]> {
  const file = new URL('../../models/demo-golden.json', import.meta.url)
  return (JSON.parse(await readFile(file, 'utf8')) as { greedy: GoldenText[] }).greedy
}

export interface TestServer {
  readonly node: SwarmNode
  readonly server: RunningServer
}

export interface TestSwarm {
  readonly bootstrap: string[]
  readonly servers: readonly TestServer[]
  stop(): Promise<void>
}

/**
 * Servers in this process, over real TCP on 127.0.0.1; the first is the others' bootstrap peer. None is left where one
 * cannot start.
 */
export async function startServers(
  model: string,
  spans: readonly (readonly [number, number])[],
  {
    bootstrap: known = [],
    ...options
  }: {
    cacheTokens?: number
    prefillChunkTokens?: number
    bootstrap?: string[]
    adapters?: readonly Adapter[]
    allowClientAdapters?: boolean
    adapterBytes?: number
    quant?: Quantization
    publicName?: string | undefined
  } = {},
): Promise<TestSwarm> {
  const checkpoint = await openCheckpoint(model)
  const logger = silent
  const servers: TestServer[] = []
  const bootstrap: string[] = [...known]
  const stop = async () => {
    for (const { node, server } of servers.toReversed()) {
      await server.stop()
      await node.stop()
    }
  }
  for (const [start, end] of spans) {
    const node = await createSwarmNode({
      identity: await loadIdentity(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap,
      logger,
    })
    try {
      await node.start()
      if (bootstrap.length > 0) await node.ready()
      const common = { device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 8192 } as const
      const server = await serve(node, { checkpoint, start, end, ...common, ...options }, logger)
      servers.push({ node, server })
    } catch (error) {
      await node.stop()
      await stop()
      throw error
    }
    if (bootstrap.length === 0) bootstrap.push(node.multiaddrs[0]!)
  }
  return { bootstrap, servers, stop }
}

/** Servers in processes of their own, for tests that end them; they know each other by a node of this process. */
export async function startProcesses(options: Omit<LocalSwarmOptions, 'bootstrap'>): Promise<LocalSwarm> {
  const meetingPoint = await createSwarmNode({
    identity: await loadIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    logger: silent,
  })
  try {
    await meetingPoint.start()
    await meetingPoint.records.start()
    const bootstrap = meetingPoint.multiaddrs[0]!
    const extraArgs = [...(options.extraArgs ?? []), '--bootstrap', bootstrap]
    const swarm = await startLocalSwarm({ ...options, bootstrap: false, extraArgs })
    const stop = async (): Promise<void> => {
      await swarm.stop()
      await meetingPoint.records.stop()
      await meetingPoint.stop()
    }
    return { ...swarm, bootstrap, stop }
  } catch (error) {
    await meetingPoint.stop()
    throw error
  }
}
