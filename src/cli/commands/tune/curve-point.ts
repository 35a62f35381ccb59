/** One point of a loss curve. Step 0 is before the first step: it has an evaluation only. */
export interface CurvePoint {
  readonly step: number
  readonly loss?: number | undefined
  readonly evalLoss?: number | undefined
  readonly learningRate?: number | undefined
  readonly tokensPerSecond?: number | undefined
}
