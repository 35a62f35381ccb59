import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import type { HubClient, RemoteFile } from '../remote/client.ts'
import type { PartFolder } from '../cache/part-folder.ts'
import type { Piece, Run } from '../remote/ranges.ts'

/** A run of bytes of a file on the hub, and the folder of its parts here. */
export interface Transfer {
  readonly file: RemoteFile
  readonly run: Run
  readonly folder: PartFolder
}

/** What `transferRun` reports, and the signal that ends it. */
export interface TransferHooks {
  readonly signal: AbortSignal
  /** Called with each number of bytes written; bytes of gaps do not count. */
  onBytes(bytes: number): void
  /**
   * Called when a piece's partial file has its full size. `transferRun` goes on with the next piece meanwhile, and
   * resolves only after the hook's promise.
   */
  onPiece(piece: Piece): Promise<void>
}

/** O_NOFOLLOW: a symbolic link in the place of a partial file would redirect the bytes. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/**
 * Downloads one run into the partial files of its pieces. If it is cut short, what has been written stays and counts.
 * Each byte is written at its own position, so that a second writer (should a lock fail) writes the same.
 */
export async function transferRun(
  client: HubClient,
  { file, run, folder }: Transfer,
  hooks: TransferHooks,
): Promise<void> {
  await mkdir(folder.folder, { recursive: true })
  const finishing: Promise<void>[] = []
  const pieces = run.pieces.values()
  let piece = pieces.next().value
  let handle: FileHandle | undefined
  let position = run.start
  try {
    for await (const chunk of client.stream(file, run.start, run.end, hooks.signal)) {
      const chunkEnd = position + chunk.length
      while (piece !== undefined && chunkEnd > piece.start) {
        handle ??= await open(folder.partialPath(piece), FLAGS, 0o644)
        const from = Math.max(position, piece.start)
        const to = Math.min(chunkEnd, piece.end)
        const offset = from - chunkEnd + chunk.length
        await writeAll(handle, chunk.subarray(offset, offset + to - from), from - piece.start)
        hooks.onBytes(to - from)
        if (to < piece.end) break
        await handle.close()
        handle = undefined
        const finished = hooks.onPiece(piece)
        // Rejections are thrown at the end of this function; this only keeps them from counting as unhandled until
        // then.
        finished.catch(() => undefined)
        finishing.push(finished)
        piece = pieces.next().value
      }
      position = chunkEnd
    }
  } finally {
    await handle?.close()
    await Promise.allSettled(finishing)
  }
  await Promise.all(finishing)
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}
