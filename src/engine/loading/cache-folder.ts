import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'

/** Returns the folder. Throws `QUANT_CACHE` where it cannot be made. */
export function makeFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new PetalsError('QUANT_CACHE', `--quant-cache ${folder}: ${errorMessage(error)}`, { cause: error })
  }
  return folder
}

/**
 * A name for what is made of a block's stored tensors: 32 hex digits over `kind`, where the tensors lie and what the
 * system says of their files. Whoever writes to a file, puts another in its place or sets its times back changes the
 * time of its last change, which the system alone sets.
 */
export function identityOf(kind: string, slices: ReadonlyMap<string, TensorSlice>): string {
  const hash = createHash('sha256').update(kind)
  const files = new Map<string, string>()
  for (const [name, { file, offset, byteLength, dtype, shape }] of [...slices].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const state = files.get(file) ?? stateOf(file)
    files.set(file, state)
    hash.update(JSON.stringify([name, file, state, offset, byteLength, dtype, shape]))
  }
  return hash.digest('hex').slice(0, 32)
}

/** Writes a file under another name and renames it. Throws `QUANT_CACHE`; nothing is left behind then. */
export function replaceFile(file: string, write: (unfinished: string) => void): void {
  const unfinished = `${file}.${randomBytes(6).toString('hex')}.part`
  try {
    write(unfinished)
    renameSync(unfinished, file)
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw new PetalsError('QUANT_CACHE', `${file} cannot be written: ${errorMessage(error)}`, { cause: error })
  }
}

function stateOf(file: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}
