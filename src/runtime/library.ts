import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import { API_TABLE_LENGTH, API_VERSION, type FunctionName, SIGNATURES } from './c-api.ts'
import { RuntimeError, runtimeError } from './errors.ts'

/** A native address or handle. */
export type Pointer = bigint

type NativeArgument = Pointer | number | string | null | ArrayBufferView | readonly string[]
type NativeFunction = (...args: NativeArgument[]) => unknown

/** The C API, bound once per thread. Every call that returns a status throws `RuntimeError` where it is not OK. */
export interface OnnxRuntime {
  readonly path: string
  /** koffi unloads a library whose handle is collected, and the next call jumps into nothing. */
  readonly library: LibraryHandle
  /** Calls a function whose result is a status. */
  call(name: FunctionName, ...args: NativeArgument[]): void
  /** Calls a function that creates something through its last parameter; returns that. */
  create(name: FunctionName, ...args: NativeArgument[]): Pointer
  /** Calls a `Release...` function. */
  release(name: FunctionName, handle: Pointer): void
}

let loaded: OnnxRuntime | undefined

/** The shared library: in the folder PETALS_CUDA_LIBS (with a CUDA provider beside it), else in the npm package onnxruntime-node. */
export function libraryPath(): string {
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  const file = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.1.29.0.dylib', win32: 'onnxruntime.dll' }[process.platform as string]
  if (file === undefined) throw new RuntimeError('RUNTIME_PLATFORM', `onnxruntime-node has no library for ${process.platform}`)
  return join(process.env['PETALS_CUDA_LIBS'] ?? join(home, 'bin', 'napi-v6', process.platform, process.arch), file)
}

/** Loads the library once per thread; handles made in one thread are valid in every other of the process. */
export function loadOnnxRuntime(path: string = libraryPath()): OnnxRuntime {
  loaded ??= bind(path)
  return loaded
}

function bind(path: string): OnnxRuntime {
  const library = open(path)
  const table = functionTable(library, path)
  const functions = Object.fromEntries(Object.entries(SIGNATURES).map(([name, [index, prototype]]) =>
    [name, koffi.decode(table[index], koffi.proto(prototype)) as NativeFunction])) as Record<FunctionName, NativeFunction>
  const out = new BigUint64Array(1)

  const call = (name: FunctionName, ...args: NativeArgument[]): void => {
    const status = functions[name](...args) as Pointer | null
    if (status === null) return
    const message = functions.GetErrorMessage(status) as string
    functions.ReleaseStatus(status)
    throw runtimeError(name, message)
  }
  return {
    path,
    library,
    call,
    create(name, ...args) {
      call(name, ...args, out)
      return out[0]!
    },
    release(name, handle) {
      functions[name](handle)
    },
  }
}

function open(path: string): LibraryHandle {
  try {
    return koffi.load(path)
  } catch (error) {
    throw new RuntimeError('RUNTIME_LIBRARY',
      `cannot load ${path}: ${(error as Error).message}. Reinstall with "npm ci" on this platform.`, { cause: error })
  }
}

function functionTable(library: LibraryHandle, path: string): Pointer[] {
  const apiBase = koffi.struct({ GetApi: 'void *', GetVersionString: 'void *' })
  const base = koffi.decode(library.func('OrtGetApiBase', koffi.pointer(apiBase), [])(), apiBase)
  const api = koffi.decode(base.GetApi, koffi.proto('void *(uint32_t)'))(API_VERSION) as Pointer | null
  if (api === null) throw new RuntimeError('RUNTIME_LIBRARY', `${path} is older than onnxruntime 1.${API_VERSION}`)
  return koffi.decode(api, koffi.array('void *', API_TABLE_LENGTH)) as Pointer[]
}

/** The address of a typed array's first byte. The caller keeps the array alive for as long as native code may use it. */
export function addressOf(view: ArrayBufferView): Pointer {
  return koffi.address(view) as Pointer
}
