import { rmSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { UsageError, errorMessage } from '../../base/errors.ts'

/** What a node tells whoever started it, once it really serves. */
export interface ReadyReport {
  readonly peerId: string
  /** Each with `/p2p/`; the one that most others can reach comes first. */
  readonly multiaddrs: readonly string[]
  /** The span as START:END; null for a node that holds none. */
  readonly blocks: string | null
  readonly httpPort: number | null
  readonly metricsPort: number | null
}

/** The message by which a parent process is told over its IPC channel. */
export interface ReadyMessage {
  readonly type: 'ready'
  readonly report: ReadyReport
}

/**
 * Tells that the node serves: to the file, which appears whole, and to a parent process over IPC. The returned function
 * takes it back, and so does the end of the process. Throws `USAGE` for a file that cannot be written.
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

/** Addresses that other machines can reach before those of this one alone. */
export function bestFirst(multiaddrs: readonly string[]): string[] {
  return [...multiaddrs].sort((a, b) => reach(a) - reach(b))
}

/** 0 for anywhere, 1 for the same link, 2 for this machine. */
function reach(address: string): number {
  if (/^\/ip4\/127\.|^\/ip6\/::1\//.test(address)) return 2
  return address.startsWith('/ip6/fe80:') ? 1 : 0
}
