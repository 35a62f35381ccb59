import { PetalsError, errorMessage } from '../../../base/errors.ts'

/**
 * Does work that writes into a folder. Throws `TUNE_DISK` where that fails, as on a full disk; what was there before is
 * still whole, since files are replaced at once or not at all.
 */
export async function onDisk<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof PetalsError) throw error
    throw new PetalsError(
      'TUNE_DISK',
      `${folder} cannot be written (${errorMessage(error)}): make room there, or name another folder`,
      { cause: error },
    )
  }
}
