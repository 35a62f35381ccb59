/**
 * Turns on onnxruntime's fast kernel for int4 experts, by an environment variable. Without it the runtime widens these
 * experts to float32 at every step: 24 ms instead of 0.7 for two experts of width 2816 at hidden size 1024. Call it in
 * the main thread: a worker's `process.env` is a copy that native code does not see.
 */
export function useFastQuantizedExperts(): void {
  process.env['ORT_USE_MLAS_Q4_GEMM_MOE'] ??= '1'
}
