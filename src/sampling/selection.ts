/** The smallest finite float32. A token whose logit is below it (-Infinity) is banned. */
export const SMALLEST = -(2 - 2 ** -23) * 2 ** 127

/** Up to this k, keeping the k largest values in a heap is quicker than partitioning all values. */
const MAX_HEAP = 1024

/**
 * The k-th largest (k >= 1) of the first `length` values, or the smallest if there are fewer than k. `scratch` and
 * `weights` are scratch memory with room for `length` values each. For small k each value is read once.
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

/** The k-th largest value, by a heap of the k largest ones whose root is the smallest of these. */
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

/** Restores the heap's order after the value at `start` has changed. */
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

/** Where the selection of the largest values ends. */
export interface Cutoff {
  /** The smallest value that is selected. */
  readonly value: number
  /** The summed weight of the values larger than `value`. */
  readonly above: number
}

/**
 * Selects the largest of the first `length` values until their summed weight is at least `target` (> 0), or all of them
 * if they weigh less; `weights[i]` is the weight of `values[i]`. A quickselect: reorders both arrays and takes linear
 * time on average, since only the side with the cutoff is partitioned further.
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

/**
 * Reorders values `start` to `end`: those larger than `pivot` first, those equal to it from `equalStart` to `equalEnd`,
 * the smaller ones last. `weight` is the summed weight of the larger values, `equalWeight` that of the equal ones.
 */
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
  const value = values[i]!
  const weight = weights[i]!
  values[i] = values[j]!
  weights[i] = weights[j]!
  values[j] = value
  weights[j] = weight
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
}
