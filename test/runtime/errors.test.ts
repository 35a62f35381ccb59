import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runtimeError } from '../../src/runtime/errors.ts'

const KERNEL = "Non-zero status code returned while running MatMul node. Name:'block 1 q_proj' Status Message: "
const PLACE =
  ' ; GPU=0 ; hostname=gpu-17 ; file=/onnxruntime_src/core/cuda_call.cc ; line=129 ; expr=cudaStreamSynchronize(s); '

for (const [message, code] of [
  [
    '/onnxruntime_src/core/framework/bfc_arena.cc:376 void* Alloc(size_t) Failed to allocate memory for ' +
      'requested buffer of size 17',
    'RUNTIME_MEMORY',
  ],
  ['bfc_arena.cc:404 Available memory of 16777216 is smaller than requested bytes of 33554432', 'RUNTIME_MEMORY'],
  ['CUDA failure 2: out of memory', 'RUNTIME_MEMORY'],
  [`${KERNEL}CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED${PLACE}`, 'RUNTIME_MEMORY'],
  ['Exiting due to terminate flag being set to true.', 'RUNTIME_CANCELLED'],
  [`${KERNEL}CUDA failure 700: an illegal memory access was encountered${PLACE}`, 'RUNTIME_DEVICE_LOST'],
  ['CUDA failure 719: unspecified launch failure', 'RUNTIME_DEVICE_LOST'],
  ['CUDA failure 214: uncorrectable ECC error encountered', 'RUNTIME_DEVICE_LOST'],
  ['CUDA error cudaErrorIllegalAddress:an illegal memory access was encountered', 'RUNTIME_DEVICE_LOST'],
  [`${KERNEL}CUDA failure 9: invalid configuration argument${PLACE}`, 'RUNTIME_KERNEL'],
  [`${KERNEL}CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED${PLACE}`, 'RUNTIME_KERNEL'],
  [`${KERNEL}matmul_helper.h:142 left operand cannot broadcast`, 'RUNTIME_KERNEL'],
  ['CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version', 'RUNTIME_LIBRARY'],
  ['Got invalid dimensions for input: x', 'RUNTIME'],
] as const) {
  test(`${code}: ${message.slice(0, 70)}`, () => {
    const error = runtimeError('onnxruntime RunWithBinding', message)
    assert.equal(error.code, code)
    assert.doesNotMatch(error.message, /onnxruntime_src|gpu-17|line=/)
  })
}
