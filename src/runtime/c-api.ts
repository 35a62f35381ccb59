/**
 * The part of onnxruntime's C API that this project calls. `SIGNATURES` gives each function's index in `struct OrtApi`
 * (onnxruntime_c_api.h; new functions are only appended there), result and parameters. Handles and out-parameters are
 * `void *`. No logic here.
 */
export const API_VERSION = 29

/** How many entries of `struct OrtApi` are read: up to the last one used below. */
export const API_TABLE_LENGTH = 422

export const SIGNATURES = {
  GetErrorMessage: [2, 'const char *(void *)'],
  CreateSessionFromArray: [8, 'void *(void *, void *, size_t, void *, void *)'],
  CreateSessionOptions: [10, 'void *(void *)'],
  SetSessionGraphOptimizationLevel: [23, 'void *(void *, int)'],
  CreateRunOptions: [39, 'void *(void *)'],
  CreateTensorWithDataAsOrtValue: [49, 'void *(void *, void *, size_t, void *, size_t, int, void *)'],
  CreateMemoryInfo: [68, 'void *(const char *, int, int, int, void *)'],
  AllocatorAlloc: [75, 'void *(void *, size_t, void *)'],
  AllocatorFree: [76, 'void *(void *, void *)'],
  ReleaseStatus: [93, 'void(void *)'],
  ReleaseMemoryInfo: [94, 'void(void *)'],
  ReleaseSession: [95, 'void(void *)'],
  ReleaseValue: [96, 'void(void *)'],
  ReleaseRunOptions: [97, 'void(void *)'],
  ReleaseSessionOptions: [100, 'void(void *)'],
  CreateEnvWithGlobalThreadPools: [119, 'void *(int, const char *, void *, void *)'],
  DisablePerSessionThreads: [120, 'void *(void *)'],
  CreateThreadingOptions: [121, 'void *(void *)'],
  ReleaseThreadingOptions: [122, 'void(void *)'],
  AddSessionConfigEntry: [130, 'void *(void *, const char *, const char *)'],
  CreateAllocator: [131, 'void *(void *, void *, void *)'],
  RunWithBinding: [133, 'void *(void *, void *, void *)'],
  CreateIoBinding: [134, 'void *(void *, void *)'],
  ReleaseIoBinding: [135, 'void(void *)'],
  BindInput: [136, 'void *(void *, const char *, void *)'],
  BindOutput: [137, 'void *(void *, const char *, void *)'],
  CreateAndRegisterAllocator: [144, 'void *(void *, void *, void *)'],
  SetGlobalIntraOpNumThreads: [147, 'void *(void *, int)'],
  SetGlobalInterOpNumThreads: [148, 'void *(void *, int)'],
  SetGlobalSpinControl: [149, 'void *(void *, int)'],
  AddInitializer: [150, 'void *(void *, const char *, void *)'],
  CreateArenaCfg: [156, 'void *(size_t, int, int, int, void *)'],
  ReleaseArenaCfg: [157, 'void(void *)'],
  AddRunConfigEntry: [165, 'void *(void *, const char *, const char *)'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'void *(void *, void *)'],
  CreateCUDAProviderOptions: [205, 'void *(void *)'],
  UpdateCUDAProviderOptions: [206, 'void *(void *, const char **, const char **, size_t)'],
  ReleaseCUDAProviderOptions: [208, 'void(void *)'],
  SessionOptionsAppendExecutionProvider: [216, 'void *(void *, const char *, const char **, const char **, size_t)'],
  /** Parameters: environment, sources, targets, stream, how many; whole tensors. */
  CopyTensors: [386, 'void *(void *, void *, void *, void *, size_t)'],
  SessionReleaseCapturedGraph: [421, 'void *(void *, int)'],
} as const satisfies Record<string, readonly [number, string]>

export type FunctionName = keyof typeof SIGNATURES

/** ONNXTensorElementDataType. */
export const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const

/** ORT_LOGGING_LEVEL_FATAL. At lower levels the library prints each error to stderr itself, in colour. */
export const LOG_LEVEL_FATAL = 4

/** ORT_ENABLE_BASIC. Our graphs contain the fused operators already, so higher levels gain nothing. */
export const OPTIMIZE_BASIC = 1

/** ORT_ENABLE_EXTENDED, which fuses more of the operators. */
export const OPTIMIZE_EXTENDED = 2

/** OrtDeviceAllocator, OrtArenaAllocator and OrtMemTypeDefault. */
export const DEVICE_ALLOCATOR = 0
export const ARENA_ALLOCATOR = 1
export const MEMORY_DEFAULT = 0

/** kSameAsRequested: an arena grows by the size that is asked for, not to the next power of two. */
export const ARENA_AS_REQUESTED = 1
