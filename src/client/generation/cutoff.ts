/** Where a selection of the largest values ends. */
export interface Cutoff {
  /** The smallest selected value. */
  readonly value: number
  /** What the values larger than it weigh together. */
  readonly above: number
}

/**
 * Finds where the largest of the first `length` values weigh at least `target` (> 0) together, or the smallest value
 * where all of them weigh less. Reorders them; takes linear time on average, as it never sorts what lies clear of the cutoff.
 */
export function findCutoff(values: Float32Array, length: number, target: number, weigh: (value: number) => number): Cutoff {
  let start = 0
  let end = length
  let above = 0
  for (;;) {
    const pivot = medianOfThree(values[start]!, values[start + end >> 1]!, values[end - 1]!)
    const { equalStart, equalEnd, weight } = partition(values, start, end, pivot, weigh)
    if (above + weight >= target) {
      end = equalStart
      continue
    }
    above += weight
    const equalWeight = (equalEnd - equalStart) * weigh(pivot)
    if (above + equalWeight >= target || equalEnd === end) return { value: pivot, above }
    above += equalWeight
    start = equalEnd
  }
}

/** Puts what is larger than `pivot` first and what is smaller last; `weight` is that of the larger ones. */
function partition(values: Float32Array, start: number, end: number, pivot: number, weigh: (value: number) => number) {
  let equalStart = start
  let equalEnd = end
  let weight = 0
  for (let i = start; i < equalEnd;) {
    const value = values[i]!
    if (value < pivot) {
      values[i] = values[--equalEnd]!
      values[equalEnd] = value
      continue
    }
    if (value > pivot) {
      values[i] = values[equalStart]!
      values[equalStart++] = value
      weight += weigh(value)
    }
    i++
  }
  return { equalStart, equalEnd, weight }
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
}
