import type { ExpertGate } from './moe.ts'
import type { MatrixPart } from './parameter.ts'

/** A layer's mixture of experts. */
export interface ExpertsOptions {
  readonly numExperts: number
  readonly intermediateSize: number
  readonly hiddenSize: number
  readonly gate?: ExpertGate | undefined
  readonly names: ExpertNames
}

/** How experts are stored: each matrix by itself, or all experts' as one tensor. */
export type ExpertNames = SingleExperts | StackedExperts

/** The stored names of an expert's matrices: gate and up are [intermediate, hidden], down is [hidden, intermediate]. */
export type SingleExperts = (expert: number) => { readonly gate: string; readonly up: string; readonly down: string }

/**
 * The stored names of all experts' matrices: gateUp [experts, hidden, 2 * intermediate], in which columns of gate and
 * up alternate, down [experts, intermediate, hidden], or in MXFP4 their transposes; and of their biases [experts, out].
 */
export interface StackedExperts {
  readonly gateUp: string
  readonly down: string
  readonly gateUpBias: string
  readonly downBias: string
}

/** One parameter that holds the matrices of one kind (gate and up, or down) of all experts. */
export interface ExpertMatrix {
  readonly shape: readonly [number, number, number]
  readonly parts: readonly MatrixPart[]
  /** The biases [experts, out] of experts that have some. */
  readonly bias?: MatrixPart | undefined
}

/** The two parameters of a mixture of experts. */
export interface ExpertMatrices {
  readonly gateUp: ExpertMatrix
  readonly down: ExpertMatrix
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
export function expertParts(options: ExpertsOptions, slices: number): ExpertMatrices {
  return partsOf(options, slices, [...Array(options.numExperts).keys()])
}

/** As `expertParts`, of one expert alone: gateUp [1, 2 * intermediate, hidden] and down [1, hidden, intermediate]. */
export function partsOfExpert(options: ExpertsOptions, expert: number): ExpertMatrices {
  return partsOf(options, 1, [expert])
}

function partsOf(options: ExpertsOptions, slices: number, experts: readonly number[]): ExpertMatrices {
  const { names } = options
  return typeof names === 'function'
    ? singleParts(options, names, slices, experts)
    : stackedParts(options, names, slices, experts)
}

function singleParts(
  { intermediateSize, hiddenSize }: ExpertsOptions,
  names: SingleExperts,
  slices: number,
  experts: readonly number[],
): ExpertMatrices {
  const width = intermediateSize / slices
  const gateUp: MatrixPart[] = []
  const down: MatrixPart[] = []
  for (const [place, expert] of experts.entries()) {
    const stored = names(expert)
    const each = Array.from({ length: slices }, (_, slice) => ({ slice, index: slice * experts.length + place }))
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
    gateUp: { shape: [slices * experts.length, 2 * width, hiddenSize], parts: gateUp },
    down: { shape: [slices * experts.length, hiddenSize, width], parts: down },
  }
}

function stackedParts(
  { numExperts, intermediateSize, hiddenSize }: ExpertsOptions,
  names: StackedExperts,
  slices: number,
  experts: readonly number[],
): ExpertMatrices {
  const width = intermediateSize / slices
  const each = Array.from({ length: slices * experts.length }, (_, index) => ({
    index,
    matrix: experts[index % experts.length]!,
    first: Math.floor(index / experts.length) * width,
  }))
  return {
    gateUp: {
      shape: [slices * experts.length, 2 * width, hiddenSize],
      parts: [
        {
          name: names.gateUp,
          shape: [numExperts, hiddenSize, 2 * intermediateSize],
          transposed: true,
          pieces: each.map(({ index, matrix, first }) => ({
            matrix,
            row: 2 * first,
            column: 0,
            rows: 2 * width,
            firstRow: 2 * width * index,
            rowStep: 1,
          })),
        },
      ],
      bias: {
        name: names.gateUpBias,
        shape: [numExperts, 2 * intermediateSize],
        pieces: each.map(({ index, matrix, first }) => ({
          row: matrix,
          column: 2 * first,
          rows: 1,
          firstRow: index,
          rowStep: 1,
        })),
      },
    },
    down: {
      shape: [slices * experts.length, hiddenSize, width],
      parts: [
        {
          name: names.down,
          shape: [numExperts, intermediateSize, hiddenSize],
          transposed: true,
          pieces: each.map(({ index, matrix, first }) => ({
            matrix,
            row: 0,
            column: first,
            rows: hiddenSize,
            firstRow: hiddenSize * index,
            rowStep: 1,
          })),
        },
      ],
      // An expert's output has the bias once: the first slice has it, the others have zeros.
      bias: {
        name: names.downBias,
        shape: [numExperts, hiddenSize],
        pieces: experts.map((expert, index) => ({ row: expert, column: 0, rows: 1, firstRow: index, rowStep: 1 })),
      },
    },
  }
}

/** A matrix [out, in] that holds those of all experts. */
export interface WideMatrix {
  readonly shape: readonly [number, number]
  readonly parts: readonly MatrixPart[]
}

/**
 * The matrices of all experts side by side, as those of one MLP: `gate` and `up` [experts * intermediate, hidden] give
 * the channels of the first expert, then the second's, ...; `down` [hidden, experts * intermediate] takes them. Where
 * experts are stored as one tensor, gate and up are `gateUp` [experts * 2 * intermediate, hidden], and alternate; its
 * bias is one vector, that of `down` one for each expert.
 */
export type WideParts = { readonly down: WideMatrix } & (
  | { readonly gate: WideMatrix; readonly up: WideMatrix }
  | { readonly gateUp: WideMatrix; readonly gateUpBias: MatrixPart; readonly downBias: MatrixPart }
)

export function wideParts({ numExperts, intermediateSize, hiddenSize, names }: ExpertsOptions): WideParts {
  const each = [...Array(numExperts).keys()]
  const wide = numExperts * intermediateSize
  const whole = { row: 0, column: 0, rowStep: 1 }
  const below = (expert: number, rows: number) => ({ ...whole, rows, firstRow: expert * rows })
  const beside = (expert: number) => ({
    ...whole,
    rows: hiddenSize,
    columns: intermediateSize,
    firstRow: 0,
    firstColumn: expert * intermediateSize,
  })
  const down: readonly [number, number] = [hiddenSize, wide]
  if (typeof names === 'function') {
    const stored = each.map(names)
    const rows = (name: 'gate' | 'up'): WideMatrix => ({
      shape: [wide, hiddenSize],
      parts: stored.map((own, expert) => ({
        name: own[name],
        shape: [intermediateSize, hiddenSize],
        pieces: [below(expert, intermediateSize)],
      })),
    })
    const columns = stored.map((own, expert) => ({
      name: own.down,
      shape: [hiddenSize, intermediateSize],
      pieces: [beside(expert)],
    }))
    return { gate: rows('gate'), up: rows('up'), down: { shape: down, parts: columns } }
  }
  const stack = (name: string, rows: number, columns: number, pieces: MatrixPart['pieces']): MatrixPart => ({
    name,
    shape: [numExperts, rows, columns],
    transposed: true,
    pieces: pieces.map((piece, matrix) => ({ ...piece, matrix })),
  })
  const both = 2 * intermediateSize
  const besideEachOther = each.map((expert) => ({
    ...whole,
    row: expert,
    rows: 1,
    columns: both,
    firstRow: 0,
    firstColumn: expert * both,
  }))
  return {
    gateUp: {
      shape: [2 * wide, hiddenSize],
      parts: [
        stack(
          names.gateUp,
          hiddenSize,
          both,
          each.map((expert) => below(expert, both)),
        ),
      ],
    },
    gateUpBias: { name: names.gateUpBias, shape: [numExperts, both], pieces: besideEachOther },
    down: { shape: down, parts: [stack(names.down, intermediateSize, hiddenSize, each.map(beside))] },
    downBias: {
      name: names.downBias,
      shape: [numExperts, hiddenSize],
      pieces: [{ ...whole, rows: numExperts, firstRow: 0 }],
    },
  }
}
