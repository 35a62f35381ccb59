import { ROW_UNIT, wholeUnits } from '../rows/row.ts'

/** Up to here capacities grow by a third or a half at a time, beyond it by the same step. */
const EVEN_FROM = 4096
const EVEN_STEP = 1024

/**
 * Tokens that the buffers of a sequence have room for once it holds `tokens`: few different sizes, each so much larger
 * than the one before that moving to it is rare, and no more than a third of it unused.
 */
export function bufferCapacity(tokens: number): number {
  const wanted = wholeUnits(tokens)
  if (wanted > EVEN_FROM) return Math.ceil(wanted / EVEN_STEP) * EVEN_STEP
  let power = ROW_UNIT
  while (2 * power <= wanted) power *= 2
  return [power, 1.5 * power, 2 * power].find((size) => size >= wanted && size % ROW_UNIT === 0)!
}
