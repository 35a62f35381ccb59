/** The smallest finite float32: what is at least this is a token that can be. */
export const SMALLEST = -(2 - 2 ** -23) * 2 ** 127

/** Up to here a heap of the largest values is quicker than partitions of all of them. */
const MAX_HEAP = 1024

/**
 * The k-th largest (k >= 1) of the first `length` values, or the smallest where there are fewer. Works in `scratch`,
 * which has room for as many values; reads each value once while `k` is small.
 */
export function kthLargest(
  values: Float32Array,
  length: number,
  k: number,
  scratch: Float32Array,
  weights: Float64Array,
): number {
  if (k <= MAX_HEAP && k < length) return rootOfLargest(values, length, k, scratch)
  scratch.set(values.subarray(0, length))
  return findCutoff(scratch, weights.fill(1, 0, length), length, k).value
}

/** Keeps the k largest values in a heap whose root is the smallest of them. */
function rootOfLargest(values: Float32Array, length: number, k: number, heap: Float32Array): number {
  heap.set(values.subarray(0, k))
  for (let i = (k >> 1) - 1; i >= 0; i--) siftDown(heap, k, i)
  let root = heap[0]!
  for (let i = k; i < length; i++) {
    const value = values[i]!
    if (value <= root) continue
    heap[0] = value
    siftDown(heap, k, 0)
    root = heap[0]!
  }
  return root
}

function siftDown(heap: Float32Array, size: number, start: number): void {
  const value = heap[start]!
  let i = start
  for (;;) {
    let child = 2 * i + 1
    if (child >= size) break
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++
    if (heap[child]! >= value) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = value
}

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
