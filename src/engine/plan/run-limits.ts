import type { Target } from '../../graph/lowering.ts'

/** What one run carries at most where nobody says. */
export interface RunLimits {
  /** Rows of a decode run; more wait for the next one. */
  readonly maxBatchRows: number
  /** Tokens of one chunk of a prompt: what a decode step of another session may have to wait for. */
  readonly prefillChunkTokens: number
}

/**
 * By device. A CPU is as quick with 256 tokens at a time as with more. A GPU reads all weights for each chunk and is
 * not busy before some hundred tokens: 1024 of them, in a block of Llama 3 8B's size, are 0.45 TFLOP, which is a few
 * milliseconds. It waits for weights until it has some hundred rows, too, so a step of 128 rows costs little more than
 * one of 16. On WebGPU each row's attention is nodes of its own, and all results of a run are held until its end.
 */
const DEFAULTS: Readonly<Record<Target['device'], RunLimits>> = {
  cpu: { maxBatchRows: 64, prefillChunkTokens: 256 },
  cuda: { maxBatchRows: 128, prefillChunkTokens: 1024 },
  webgpu: { maxBatchRows: 16, prefillChunkTokens: 256 },
}

/** Attention that is written out holds the scores of a whole chunk: then chunks stay small on CUDA, too. */
export function defaultRunLimits(target: Pick<Target, 'device' | 'dtype'>): RunLimits {
  const { device } = target
  return device === 'cuda' && !recordsSteps(target) ? DEFAULTS.cpu : DEFAULTS[device]
}

/** Sessions of parts of the span that are kept on CUDA, beside those of the whole. */
export const MAX_PARTS = 4

/**
 * Decode runs that are recorded as CUDA graphs and kept, over all sessions: kinds of rows, capacity and rotary table.
 */
export const MAX_RECORDINGS = 48

/** Positions of deep prompts that one run adds: they lie on the device for each block. */
export const MAX_PROMPTED_TOKENS = 64

/** Whether a span's decode steps are recorded as CUDA graphs: not in the form of attention that is for checking. */
export function recordsSteps({ device, dtype }: Pick<Target, 'device' | 'dtype'>): boolean {
  return device === 'cuda' && dtype !== 'float32'
}
