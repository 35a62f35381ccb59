import { rmSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { UsageError, errorMessage } from '../../base/errors.ts'

/** What a node tells whoever started it, when it serves. */
export interface ReadyReport {
  readonly peerId: string
  /** The node's addresses, each with `/p2p/`; the one that most others can reach comes first. */
  readonly multiaddrs: readonly string[]
  /** The span as START:END; null for a node without one. */
  readonly blocks: string | null
  readonly httpPort: number | null
  readonly metricsPort: number | null
}

/** The message that tells the parent process so over the IPC channel. */
export interface ReadyMessage {
  readonly type: 'ready'
  readonly report: ReadyReport
}

/**
 * Tells that the node serves: writes the report to a file, atomically, and sends it to the parent process. The returned
 * function removes the file, as does the end of the process. Throws `USAGE` if the file cannot be written.
 */
export async function announceReady(report: ReadyReport, file: string | undefined): Promise<() => Promise<void>> {
  if (process.connected) process.send?.({ type: 'ready', report } satisfies ReadyMessage)
  if (file === undefined) return async () => undefined
  const part = `${file}.${process.pid}.part`
  try {
    await writeFile(part, `${JSON.stringify(report)}\n`)
    await rename(part, file)
  } catch (error) {
    await rm(part, { force: true })
    throw new UsageError(`--ready-file ${file}: ${errorMessage(error)}`, { cause: error })
  }
  const onExit = () => rmSync(file, { force: true })
  process.once('exit', onExit)
  return async () => {
    process.off('exit', onExit)
    await rm(file, { force: true })
  }
}

/** Sorts addresses: those that other machines can reach come before those of this machine alone. */
export function bestFirst(multiaddrs: readonly string[]): string[] {
  return [...multiaddrs].sort((a, b) => reach(a) - reach(b))
}

/** How far away an address can be reached from: 0 anywhere, 1 the same link, 2 this machine. */
function reach(address: string): number {
  if (/^\/ip4\/127\.|^\/ip6\/::1\//.test(address)) return 2
  return address.startsWith('/ip6/fe80:') ? 1 : 0
}
