import { RowAccounts } from '../rows/row-accounts.ts'
import { bufferCapacity } from './buffer-capacity.ts'

/** Sessions are declared longer than they become; places cost nothing until they are written to. */
const STRETCH = 16

/**
 * The accounts of a cache of buffers: a sequence costs what its buffers have room for, and gets larger ones as it
 * grows. Its place is only a number there.
 */
export function bufferAccounts(cacheTokens: number): RowAccounts {
  return new RowAccounts({
    totalTokens: cacheTokens,
    positions: STRETCH * cacheTokens,
    costOf: bufferCapacity,
    sparse: true,
  })
}
