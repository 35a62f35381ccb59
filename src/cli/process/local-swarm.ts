import type { ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { ChildNode } from './child-node.ts'
import type { ReadyReport } from './ready-file.ts'
import { orAborted } from '../../base/abort.ts'
import { type Span, spanText } from '../../base/span.ts'

/** Which servers to start. */
export interface LocalSwarmOptions {
  /** The checkpoint's folder. */
  readonly model: string
  /** The span of each server. */
  readonly spans: readonly Span[]
  /** Whether an additional node connects the servers (default: true); otherwise the first server does. */
  readonly bootstrap?: boolean
  /** What the servers are called, in the same order; by default nothing. */
  readonly names?: readonly string[]
  /** Compute threads of each server; by default the cores are divided among them. */
  readonly threads?: number
  /** Further command-line options for each server. */
  readonly extraArgs?: readonly string[]
  readonly onEvent?: (event: LocalSwarmEvent) => void
  /** Aborts the start; everything started is stopped then. */
  readonly signal?: AbortSignal
}

/** What happens to the nodes of a local swarm. */
export type LocalSwarmEvent =
  | { readonly type: 'ready'; readonly name: string; readonly report: ReadyReport; readonly seconds: number }
  /** A node ended without being told to. */
  | {
      readonly type: 'died'
      readonly name: string
      readonly blocks: string | null
      readonly bootstrap: string
      readonly exit: string
    }

/** A server of a local swarm, which runs as a process of its own. */
export interface LocalServer extends ReadyReport {
  readonly pid: number
  readonly blocks: string
  readonly process: ChildProcess
}

/** Nodes in child processes on 127.0.0.1. They always end with this process. */
export interface LocalSwarm {
  /** The value for --bootstrap. */
  readonly bootstrap: string
  /** One server per span, in the same order. */
  readonly servers: readonly LocalServer[]
  /** Ends all nodes without waiting for their sessions; resolves when they are gone. */
  stop(): Promise<void>
}

/**
 * Starts a swarm; resolves when every server serves. Rejects with `CHILD_FAILED` if a node does not get so far, or with
 * the signal's reason; all nodes are stopped then.
 */
export async function startLocalSwarm(options: LocalSwarmOptions): Promise<LocalSwarm> {
  const { model, spans, bootstrap: hasBootstrap = true, extraArgs = [], names = [], onEvent, signal } = options
  const threads = options.threads ?? Math.max(1, Math.floor(availableParallelism() / spans.length))
  const nodes: ChildNode[] = []
  /** The first node's address, by which the others join. */
  let bootstrap: string | undefined
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()))
  }

  const start = async (name: string, args: readonly string[]): Promise<{ node: ChildNode; report: ReadyReport }> => {
    signal?.throwIfAborted()
    const began = performance.now()
    const node = new ChildNode(name, [...args, '--listen', '/ip4/127.0.0.1/tcp/0'])
    nodes.push(node)
    const report = await (signal === undefined ? node.ready() : orAborted(node.ready(), signal))
    bootstrap ??= report.multiaddrs[0]!
    const { blocks } = report
    node.onDeath((exit) => onEvent?.({ type: 'died', name, blocks, bootstrap: bootstrap!, exit }))
    onEvent?.({ type: 'ready', name, report, seconds: (performance.now() - began) / 1000 })
    return { node, report }
  }
  const startServer = async (i: number, join: readonly string[]): Promise<LocalServer> => {
    const blocks = spanText(spans[i]!)
    const args = [
      'serve',
      '--model',
      model,
      '--blocks',
      blocks,
      '--threads',
      String(threads),
      '--metrics-port',
      '0',
      ...(names[i] === undefined ? [] : ['--public-name', names[i]]),
      ...join,
      ...extraArgs,
    ]
    const { node, report } = await start(`server ${blocks}`, args)
    return { ...report, blocks, pid: node.process.pid!, process: node.process }
  }

  try {
    const servers: LocalServer[] = []
    if (!hasBootstrap) servers.push(await startServer(0, []))
    else await start('bootstrap', ['bootstrap'])
    const join = ['--bootstrap', bootstrap!]
    const left = [...spans.keys()].slice(servers.length)
    servers.push(...(await Promise.all(left.map((i) => startServer(i, join)))))
    return { bootstrap: bootstrap!, servers, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
