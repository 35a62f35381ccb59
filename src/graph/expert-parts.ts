import type { MatrixPart } from './parameter.ts'

export interface ExpertsOptions {
  readonly numExperts: number
  readonly intermediateSize: number
  readonly hiddenSize: number
  /** Experts that each token goes through. */
  readonly topK: number
  /** Whether the chosen experts' weights add up to one. */
  readonly normalised: boolean
  /**
   * What the checkpoint calls an expert's matrices: gate and up [intermediate, hidden], down [hidden, intermediate].
   */
  readonly names: (expert: number) => { readonly gate: string; readonly up: string; readonly down: string }
}

/** All experts' matrices of one kind as one parameter. */
export interface ExpertMatrix {
  readonly shape: readonly [number, number, number]
  readonly parts: readonly MatrixPart[]
}

const MAX_SLICES = 8
const LEAST_WIDTH = 16

/** Whether a kernel takes experts of a width. */
export type WidthRule = (width: number) => boolean

export const anyWidth: WidthRule = (width) => width >= LEAST_WIDTH

/**
 * Into how many experts of equal width each is taken apart. The operator gives each of its threads a fixed range of the
 * experts: with two chosen of eight, one thread often had both, or with sixteen threads all but two had nothing to do.
 */
export function expertSlices(intermediateSize: number, fits: WidthRule = anyWidth): number {
  let slices = MAX_SLICES
  while (slices > 1 && (intermediateSize % slices !== 0 || !fits(intermediateSize / slices))) slices /= 2
  return slices
}

/**
 * Where the rows of gateUp [slices * experts, 2 * width, hidden] and down [slices * experts, hidden, width] come from.
 * All experts' first slices come first; gate and up take turns.
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
