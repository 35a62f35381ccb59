import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lowerAttention, lowerExperts, lowerLinear, type Target } from '../../src/graph/lowering.ts'
import { QUANTIZATIONS } from '../../src/tensor/quantize.ts'

const heads = { headDim: 64, rotaryDim: 64 }

describe('lowering', () => {
  const refusals: [Target, RegExp][] = [
    [{ device: 'cpu', dtype: 'float16' }, /float16 on cpu.*float32/],
    [{ device: 'cpu', dtype: 'bfloat16' }, /bfloat16 on cpu.*float32/],
    [{ device: 'webgpu', dtype: 'bfloat16' }, /bfloat16 on webgpu.*float16/],
  ]
  for (const [target, message] of refusals) {
    it(`refuses ${target.dtype} on ${target.device}, naming what to use`, () => {
      assert.throws(() => lowerLinear(target), { code: 'GRAPH_UNSUPPORTED', message })
      assert.throws(() => lowerAttention(target, heads), { code: 'GRAPH_UNSUPPORTED', message })
    })
  }

  const targets: Target[] = [
    { device: 'cpu', dtype: 'float32' },
    { device: 'cuda', dtype: 'float16' },
    { device: 'cuda', dtype: 'bfloat16' },
  ]
  for (const target of targets) {
    it(`uses the fused operators for ${target.dtype} on ${target.device}`, () => {
      assert.equal(lowerLinear(target), 'FusedMatMul')
      const { form, rotary, cacheHeadDim } = lowerAttention(target, heads)
      assert.deepEqual([form, rotary, cacheHeadDim], ['GroupQueryAttention', 'inside', 64])
    })
  }

  it('reads each quantized format with its own operator', () => {
    assert.deepEqual(
      QUANTIZATIONS.map((quant) => lowerLinear({ device: 'cpu', dtype: 'float32', quant })),
      ['FusedMatMul', 'MatMulIntegerToFloat', 'MatMulBnb4', 'MatMulNBits'],
    )
    assert.equal(lowerLinear({ device: 'cuda', dtype: 'float16', quant: 'int8' }), 'MatMulNBits')
    const experts = (['none', 'int8', 'int4'] as const).map((quant) =>
      lowerExperts({ device: 'cpu', dtype: 'float32', quant }),
    )
    assert.deepEqual(experts, ['MoE', 'QMoE', 'QMoE'])
    assert.throws(() => lowerExperts({ device: 'cuda', dtype: 'float16', quant: 'int8' }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /only quantized on a CPU/,
    })
  })

  it('computes on webgpu what its kernels compute right, and refuses by name what they do not', () => {
    const target: Target = { device: 'webgpu', dtype: 'float32' }
    assert.equal(lowerLinear(target), 'MatMul')
    assert.equal(lowerLinear({ ...target, quant: 'int8' }), 'MatMulNBits')
    assert.equal(lowerAttention(target, heads).form, 'GroupQueryAttention')
    // The fused operator ignores the cap.
    assert.equal(lowerAttention(target, { ...heads, softcapped: true }).form, 'Primitives')
    assert.throws(() => lowerAttention({ ...target, dtype: 'float16' }, { ...heads, softcapped: true }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /soft cap.*use float32/,
    })
    for (const quant of ['none', 'int8', 'int4'] as const) assert.equal(lowerExperts({ ...target, quant }), 'Wide')
    assert.throws(() => lowerExperts({ ...target, quant: 'nf4' }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /nf4 on webgpu.*--quant int4/,
    })
    assert.throws(() => lowerExperts({ ...target, stored: { method: 'mxfp4' } as Target['stored'] }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /mxfp4 on webgpu.*16 bits/,
    })
  })

  it('keeps an int8 cache on a CPU alone', () => {
    assert.equal(
      lowerAttention({ device: 'cpu', dtype: 'float32', kvDType: 'int8' }, heads).form,
      'GroupQueryAttention',
    )
    assert.throws(() => lowerAttention({ device: 'cuda', dtype: 'float16', kvDType: 'int8' }, heads), {
      code: 'GRAPH_UNSUPPORTED',
      message: /--kv-dtype auto/,
    })
  })

  it('writes attention out for float32 on cuda, which has no fused kernel, with heads of any size as they are', () => {
    const target: Target = { device: 'cuda', dtype: 'float32' }
    assert.equal(lowerLinear(target), 'FusedMatMul')
    const { form, rotary, cacheHeadDim } = lowerAttention(target, { headDim: 20, rotaryDim: 20 })
    assert.deepEqual([form, rotary, cacheHeadDim], ['Primitives', 'outside', 20])
  })
})
