import type { RopeConfig } from '../../checkpoint/config/rope.ts'

/**
 * Rotary angles of successive positions: cos and sin, [positions, halfDim] row-major, already multiplied by the
 * attention factor.
 */
export interface RopeAngles {
  readonly cos: Float32Array
  readonly sin: Float32Array
  /** Half the number of rotated channels. Channel i is rotated together with channel i + halfDim. */
  readonly halfDim: number
}

/** Which positions of a rotary embedding are computed. */
export interface RopeAnglesOptions {
  /**
   * The most tokens that the sequence may reach. Frequencies that depend on a sequence's length are computed for this
   * one.
   */
  readonly maxLength: number
  /** The first position; 0 by default. */
  readonly first?: number | undefined
  /** How many positions. */
  readonly positions: number
}

type Rope<T extends RopeConfig['type']> = Extract<RopeConfig, { type: T }>

const f32 = Math.fround

/**
 * Computes the rotary angles of one session. Repeats each float32 rounding of transformers, because at position p an
 * angle is off by p times the error of its frequency.
 */
export function ropeAngles(rope: RopeConfig, { maxLength, first = 0, positions }: RopeAnglesOptions): RopeAngles {
  const frequencies = inverseFrequencies(rope, maxLength)
  const factor = 'attentionFactor' in rope ? rope.attentionFactor : 1
  const halfDim = frequencies.length
  const cos = new Float32Array(positions * halfDim)
  const sin = new Float32Array(positions * halfDim)
  for (let row = 0; row < positions; row++) {
    for (let i = 0; i < halfDim; i++) {
      const angle = f32(frequencies[i]! * (first + row))
      cos[row * halfDim + i] = Math.cos(angle) * factor
      sin[row * halfDim + i] = Math.sin(angle) * factor
    }
  }
  return { cos, sin, halfDim }
}

/**
 * A key for the angles of a model's rotary embeddings at a session's maximum length: sessions with equal keys can share
 * tables of angles.
 */
export function ropeKey(ropes: readonly RopeConfig[], maxLength: number): string {
  return ropes.map((rope) => keyOf(rope, maxLength)).join()
}

function keyOf(rope: RopeConfig, maxLength: number): string {
  switch (rope.type) {
    case 'dynamic':
      return `dynamic ${Math.max(maxLength, rope.originalMaxPositions)}`
    case 'longrope':
      return `longrope ${isLong(rope, maxLength) ? 'long' : 'short'}`
    default:
      return rope.type
  }
}

/** The rotation frequencies, in radians per position: one for each pair of rotated channels. */
function inverseFrequencies(rope: RopeConfig, maxLength: number): Float32Array {
  switch (rope.type) {
    case 'default':
      return periods(rope, rope.theta).map((period) => 1 / period)
    case 'linear':
      return periods(rope, rope.theta).map((period) => f32(1 / period) / rope.factor)
    case 'dynamic':
      return periods(rope, dynamicTheta(rope, maxLength)).map((period) => 1 / period)
    case 'llama3':
      return periods(rope, rope.theta).map((period) => llama3Frequency(rope, f32(1 / period)))
    case 'yarn':
      return yarnFrequencies(rope)
    case 'longrope': {
      const factors = isLong(rope, maxLength) ? rope.longFactor : rope.shortFactor
      return periods(rope, rope.theta).map((period, i) => 1 / f32(f32(factors[i] ?? 1) * period))
    }
  }
}

/** theta^(2i / rotaryDim) for each pair i: positions per radian. */
function periods({ rotaryDim }: RopeConfig, theta: number): Float32Array {
  return Float32Array.from({ length: rotaryDim / 2 }, (_, i) => f32(theta) ** f32((2 * i) / rotaryDim))
}

/**
 * "Dynamic NTK" scaling: theta grows with the length, so that the slowest angles stay within the range seen in
 * training. The formula is transformers'.
 */
function dynamicTheta({ theta, factor, rotaryDim, originalMaxPositions }: Rope<'dynamic'>, maxLength: number): number {
  const length = Math.max(maxLength, originalMaxPositions)
  return theta * ((factor * length) / originalMaxPositions - (factor - 1)) ** (rotaryDim / (rotaryDim - 2))
}

/** Llama 3.1's scaling: slow rotations are divided by `factor`, fast ones kept, those between blended. */
function llama3Frequency(rope: Rope<'llama3'>, frequency: number): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = rope
  const wavelength = divided(2 * Math.PI, frequency)
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency
  const kept = f32(f32(divided(originalMaxPositions, wavelength) - lowFreqFactor) / (highFreqFactor - lowFreqFactor))
  return f32(f32(f32(1 - kept) * frequency) / factor) + f32(kept * frequency)
}

/** number / by, rounded as torch divides a number by a float32 tensor: it multiplies by the reciprocal. */
function divided(number: number, by: number): number {
  return f32(f32(number) * f32(1 / by))
}

/**
 * YaRN's scaling (Peng et al., "YaRN"): pairs of channels that turn often over the trained context are kept, those that
 * turn rarely are divided by `factor`, with a linear ramp between.
 */
function yarnFrequencies(rope: Rope<'yarn'>): Float32Array {
  const { betaFast, betaSlow, factor, rotaryDim, truncate } = rope
  const first = channelOfTurns(rope, betaFast)
  const last = channelOfTurns(rope, betaSlow)
  const low = Math.max(truncate ? Math.floor(first) : first, 0)
  const high = Math.min(truncate ? Math.ceil(last) : last, rotaryDim - 1)
  // Avoids a division by zero; transformers widens an empty ramp by the same amount.
  const width = high === low ? 0.001 : high - low
  return periods(rope, rope.theta).map((period, i) => {
    const ramp = Math.min(Math.max(f32(f32(i - low) / width), 0), 1)
    const kept = f32(1 - ramp)
    return f32(f32(1 / f32(factor * period)) * f32(1 - kept)) + f32(f32(1 / period) * kept)
  })
}

/** The pair of channels, as a fraction, that makes this many turns over the trained context. */
function channelOfTurns({ theta, rotaryDim, originalMaxPositions }: Rope<'yarn'>, turns: number): number {
  return (rotaryDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
}

function isLong({ originalMaxPositions }: Rope<'longrope'>, maxLength: number): boolean {
  return maxLength > originalMaxPositions
}
