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

/** The C API, as one thread calls it. Every call that returns a status throws `RuntimeError` where it is not OK. */
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

/**
 * Finds the shared library, and a CUDA provider for it: one answer for all threads of a process, so that the same file
 * is loaded whatever a thread is for. Throws `RUNTIME_PLATFORM` and `RUNTIME_LIBRARY`.
 */
export function findRuntime(): RuntimeLocation {
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  const own = packagedLibrary(home)
  return process.platform === 'linux' ? locateRuntime(locateOptions(own)) : { library: own }
}

/**
 * Loads the library for the calling thread; handles made in one thread are valid in every other of the process. Throws
 * `RUNTIME_LIBRARY`.
 */
export function bindOnnxRuntime(path: string): OnnxRuntime {
  // It reports its use to its maker over the network, unless it is told not to before it is loaded.
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

/** Sets a variable for native code, unless it is set: what a worker writes to `process.env` does not reach that. */
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
 * Loads a library that stays until the process ends. koffi unloads one with the last thread that uses it: CUDA's
 * runtime would take all device memory with it, and onnxruntime leave a provider behind whose own end then crashes the
 * process.
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
 * The address of a typed array's first byte. The caller keeps the array alive for as long as native code may use it.
 */
export function addressOf(view: ArrayBufferView): Pointer {
  return koffi.address(view) as Pointer
}

/**
 * `byteLength` bytes of this process's memory from an address on, which must stay allocated for as long as the view is
 * used.
 */
export function viewOf(address: Pointer, byteLength: number): Uint8Array {
  return new Uint8Array(koffi.view(address, byteLength))
}
