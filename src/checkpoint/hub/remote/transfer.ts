import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import type { HubClient, RemoteFile } from './client.ts'
import type { PartFolder } from '../cache/part-folder.ts'
import type { Piece, Run } from './ranges.ts'

export interface TransferHooks {
  readonly signal: AbortSignal
  /** Bytes of pieces, without those of gaps. */
  onBytes(bytes: number): void
  /** The piece's partial file has its full size. Not waited for before the next piece, but before the end. */
  onPiece(piece: Piece): Promise<void>
}

/** A link in the place of a part would lead the bytes elsewhere. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/**
 * Downloads one run into the partial files of its pieces. What has been written when it is cut short stays and counts.
 * Bytes go to their own positions, so that a second writer, should a lock fail, writes the same.
 */
export async function transferRun(
  client: HubClient,
  file: RemoteFile,
  run: Run,
  folder: PartFolder,
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
        // It is looked at below; until then nobody else does.
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
