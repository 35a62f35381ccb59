/** Where a selection of the largest values ends. */
export interface Cutoff {
  /** The smallest selected value. */
  readonly value: number
  /** What the values larger than it weigh together. */
  readonly above: number
}

/**
 * Finds where the largest of the first `length` values weigh at least `target` (> 0) together, or the smallest value
 * where all of them weigh less. Value i weighs `weights[i]`. Reorders both; takes linear time on average, as it never
 * sorts what lies clear of the cutoff.
 */
export function findCutoff(values: Float32Array, weights: Float64Array, length: number, target: number): Cutoff {
  let start = 0
  let end = length
  let above = 0
  for (;;) {
    const pivot = medianOfThree(values[start]!, values[(start + end) >> 1]!, values[end - 1]!)
    const { equalStart, equalEnd, weight, equalWeight } = partition(values, weights, start, end, pivot)
    if (above + weight >= target) {
      end = equalStart
      continue
    }
    above += weight
    if (above + equalWeight >= target || equalEnd === end) return { value: pivot, above }
    above += equalWeight
    start = equalEnd
  }
}

/** Puts what is larger than `pivot` first and what is smaller last; `weight` is that of the larger ones. */
function partition(values: Float32Array, weights: Float64Array, start: number, end: number, pivot: number) {
  let equalStart = start
  let equalEnd = end
  let weight = 0
  for (let i = start; i < equalEnd;) {
    const value = values[i]!
    if (value < pivot) {
      equalEnd--
      swap(values, weights, i, equalEnd)
      continue
    }
    if (value > pivot) {
      weight += weights[i]!
      swap(values, weights, i, equalStart++)
    }
    i++
  }
  let equalWeight = 0
  for (let i = equalStart; i < equalEnd; i++) equalWeight += weights[i]!
  return { equalStart, equalEnd, weight, equalWeight }
}

function swap(values: Float32Array, weights: Float64Array, i: number, j: number): void {
  const value = values[i]!,
    weight = weights[i]!
  values[i] = values[j]!
  weights[i] = weights[j]!
  values[j] = value
  weights[j] = weight
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
}
