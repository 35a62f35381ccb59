import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mxfp4Pieces, widenCodes, widenScales } from '../../../src/checkpoint/weights/mxfp4.ts'

/** The sixteen values of e2m1, and what e8m0 stands for, by the definitions of the format. */
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
const e2m1 = (code: number) => (code < 8 ? E2M1[code]! : -E2M1[code - 8]!)
const e8m0 = (bits: number) => 2 ** (bits - 127)

describe('MXFP4 in 8 bits', () => {
  it('is every number of the format, to the bit', () => {
    const stored = Uint8Array.from({ length: 256 }, (_, i) => i)
    const codes = new Uint8Array(512)
    widenCodes(stored, codes)
    const bits = Uint8Array.from({ length: 255 }, (_, i) => i)
    const scales = new Float32Array(255)
    widenScales(bits, scales)
    for (const [i, byte] of stored.entries()) {
      for (const [half, code] of [byte & 15, byte >> 4].entries()) {
        const steps = codes[2 * i + half]! - 128
        assert.ok(Math.abs(steps) <= 127)
        for (const [exponent, scale] of scales.entries())
          assert.equal(Math.fround(steps * scale) + 0, Math.fround(e2m1(code) * e8m0(exponent)) + 0)
      }
    }
  })

  it('is not a number where the scale is none', () => {
    const scales = new Float32Array(1)
    widenScales(Uint8Array.of(255), scales)
    assert.ok(Number.isNaN(scales[0]))
  })

  it('is stored in blocks of 32 weights and a scale for each', () => {
    assert.deepEqual(mxfp4Pieces('mlp.experts.down_proj', [4, 64, 96]), [
      { name: 'mlp.experts.down_proj_blocks', shape: [4, 64, 3, 16], dtypes: ['uint8'] },
      { name: 'mlp.experts.down_proj_scales', shape: [4, 64, 3], dtypes: ['uint8'] },
    ])
  })
})
