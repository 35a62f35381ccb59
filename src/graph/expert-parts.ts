import type { MatrixPart } from './parameter.ts'

/** A layer's mixture of experts. */
export interface ExpertsOptions {
  readonly numExperts: number
  readonly intermediateSize: number
  readonly hiddenSize: number
  /** How many experts compute each token. */
  readonly topK: number
  /** Whether the weights of a token's chosen experts are divided by their sum, so that they add up to one. */
  readonly normalised: boolean
  /**
   * The stored names of an expert's matrices: gate and up are [intermediate, hidden], down is [hidden, intermediate].
   */
  readonly names: (expert: number) => { readonly gate: string; readonly up: string; readonly down: string }
}

/** One parameter that holds the matrices of one kind (gate and up, or down) of all experts. */
export interface ExpertMatrix {
  readonly shape: readonly [number, number, number]
  readonly parts: readonly MatrixPart[]
}

const MAX_SLICES = 8
const LEAST_WIDTH = 16

/** Whether a kernel takes experts of this intermediate size. */
export type WidthRule = (width: number) => boolean

/** The rule of kernels for floats: only very narrow experts are avoided. */
export const anyWidth: WidthRule = (width) => width >= LEAST_WIDTH

/**
 * Into how many narrower experts (slices) each expert is divided. The operator assigns each of its threads a fixed
 * range of experts; with two of eight experts chosen, most threads would have nothing to do.
 */
export function expertSlices(intermediateSize: number, fits: WidthRule = anyWidth): number {
  let slices = MAX_SLICES
  while (slices > 1 && (intermediateSize % slices !== 0 || !fits(intermediateSize / slices))) slices /= 2
  return slices
}

/**
 * Which rows of the stored matrices make up the two parameters: gateUp [slices * experts, 2 * width, hidden], in which
 * rows of gate and up alternate, and down [slices * experts, hidden, width]. The first slices of all experts come
 * first, then the second ones, and so on.
 */
export function expertParts(
  { numExperts, intermediateSize, hiddenSize, names }: ExpertsOptions,
  slices: number,
): { readonly gateUp: ExpertMatrix; readonly down: ExpertMatrix } {
  const width = intermediateSize / slices
  const gateUp: MatrixPart[] = []
  const down: MatrixPart[] = []
  for (let expert = 0; expert < numExperts; expert++) {
    const stored = names(expert)
    const each = Array.from({ length: slices }, (_, slice) => ({ slice, index: slice * numExperts + expert }))
    for (const [i, name] of [stored.gate, stored.up].entries()) {
      gateUp.push({
        name,
        shape: [intermediateSize, hiddenSize],
        pieces: each.map(({ slice, index }) => ({
          row: slice * width,
          column: 0,
          rows: width,
          firstRow: 2 * width * index + i,
          rowStep: 2,
        })),
      })
    }
    down.push({
      name: stored.down,
      shape: [hiddenSize, intermediateSize],
      pieces: each.map(({ slice, index }) => ({
        row: 0,
        column: slice * width,
        rows: hiddenSize,
        firstRow: hiddenSize * index,
        rowStep: 1,
      })),
    })
  }
  return {
    gateUp: { shape: [slices * numExperts, 2 * width, hiddenSize], parts: gateUp },
    down: { shape: [slices * numExperts, hiddenSize, width], parts: down },
  }
}
