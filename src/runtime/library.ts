import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import { API_TABLE_LENGTH, API_VERSION, type FunctionName, SIGNATURES } from './c-api.ts'
import { RuntimeError, runtimeError } from './errors.ts'
import { type RuntimeLocation, locateOptions, locateRuntime } from './locate/locate.ts'
import { packagedLibrary } from './locate/platform.ts'

/** A native address or handle. */
export type Pointer = bigint

type NativeArgument = Pointer | number | string | null | ArrayBufferView | readonly string[]
type NativeFunction = (...args: NativeArgument[]) => unknown

/**
 * onnxruntime's C API, bound for one thread. A call that returns a status throws `RuntimeError` unless the status is
 * OK.
 */
export interface OnnxRuntime {
  readonly path: string
  /** Kept, because koffi unloads a library whose handle is garbage-collected, and the next call would crash. */
  readonly library: LibraryHandle
  /** Calls a function whose result is a status. */
  call(name: FunctionName, ...args: NativeArgument[]): void
  /** Calls a function that returns something through its last parameter; returns that. */
  create(name: FunctionName, ...args: NativeArgument[]): Pointer
  /** Calls a `Release...` function. */
  release(name: FunctionName, handle: Pointer): void
}

/**
 * Finds onnxruntime's shared library, and a CUDA provider for it. The answer is the same in all threads of a process,
 * so that all load the same file. Throws `RUNTIME_PLATFORM` or `RUNTIME_LIBRARY`.
 */
export function findRuntime(): RuntimeLocation {
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  const own = packagedLibrary(home)
  return process.platform === 'linux' ? locateRuntime(locateOptions(own)) : { library: own }
}

/**
 * Loads the library for the calling thread. Handles made in one thread are valid in all threads of the process. Throws
 * `RUNTIME_LIBRARY`.
 */
export function bindOnnxRuntime(path: string): OnnxRuntime {
  // Must be set before the library is loaded, or it reports its use to Microsoft.
  setNativeEnvironment('ORT_DISABLE_TELEMETRY', '1')
  const library = open(path)
  const table = functionTable(library, path)
  const functions = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, [index, prototype]]) => [
      name,
      koffi.decode(table[index], koffi.proto(prototype)) as NativeFunction,
    ]),
  ) as Record<FunctionName, NativeFunction>
  const out = new BigUint64Array(1)

  const call = (name: FunctionName, ...args: NativeArgument[]): void => {
    const status = functions[name](...args) as Pointer | null
    if (status === null) return
    const message = functions.GetErrorMessage(status) as string
    functions.ReleaseStatus(status)
    throw runtimeError(`onnxruntime ${name}`, message)
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

/**
 * Sets a variable in the environment that native code reads, unless it is set. Writing to `process.env` in a worker
 * thread does not reach native code.
 */
export function setNativeEnvironment(name: string, value: string): void {
  if (process.platform === 'win32') process.env[name] ??= value
  else koffi.load(null).func('int setenv(const char *, const char *, int)')(name, value, 0)
}

function open(path: string): LibraryHandle {
  try {
    return loadForGood(path)
  } catch (error) {
    throw new RuntimeError(
      'RUNTIME_LIBRARY',
      `cannot load ${path}: ${(error as Error).message}. Reinstall with "npm ci" on this platform.`,
      { cause: error },
    )
  }
}

/**
 * Loads a library that stays loaded until the process ends. koffi would unload it with the last thread that uses it:
 * unloading CUDA's runtime frees all device memory, and unloading onnxruntime leaves its provider behind, which then
 * crashes the process at its end.
 */
export function loadForGood(path: string): LibraryHandle {
  const library = koffi.load(path)
  const lazy = 1
  const noDelete = { linux: 0x1000, darwin: 0x80 }[process.platform as string]
  if (noDelete !== undefined) koffi.load(null).func('void *dlopen(const char *, int)')(path, lazy | noDelete)
  return library
}

function functionTable(library: LibraryHandle, path: string): Pointer[] {
  const apiBase = koffi.struct({ GetApi: 'void *', GetVersionString: 'void *' })
  const base = koffi.decode(library.func('OrtGetApiBase', koffi.pointer(apiBase), [])(), apiBase)
  const api = koffi.decode(base.GetApi, koffi.proto('void *(uint32_t)'))(API_VERSION) as Pointer | null
  if (api === null) throw new RuntimeError('RUNTIME_LIBRARY', `${path} is older than onnxruntime 1.${API_VERSION}`)
  return koffi.decode(api, koffi.array('void *', API_TABLE_LENGTH)) as Pointer[]
}

/**
 * The address of a typed array's first byte. The caller must keep the array alive while native code may use the
 * address.
 */
export function addressOf(view: ArrayBufferView): Pointer {
  return koffi.address(view) as Pointer
}

/**
 * A view of `byteLength` bytes of this process's memory from an address on. The memory must stay allocated while the
 * view is used.
 */
export function viewOf(address: Pointer, byteLength: number): Uint8Array {
  return new Uint8Array(koffi.view(address, byteLength))
}
