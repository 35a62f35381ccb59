import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RuntimeError } from '../errors.ts'

/** The runtime's library within the npm package onnxruntime-node, by platform and architecture. */
const LIBRARIES: Readonly<Record<string, string>> = {
  'linux x64': 'libonnxruntime.so.1',
  'linux arm64': 'libonnxruntime.so.1',
  'darwin arm64': 'libonnxruntime.1.dylib',
  'win32 x64': 'onnxruntime.dll',
  'win32 arm64': 'onnxruntime.dll',
}

/**
 * The runtime's library in the npm package at `home`. Throws `RUNTIME_PLATFORM` if the package has none for this
 * platform, and `RUNTIME_LIBRARY` if its file is missing.
 */
export function packagedLibrary(
  home: string,
  platform: string = process.platform,
  arch: string = process.arch,
): string {
  const file = LIBRARIES[`${platform} ${arch}`]
  if (file === undefined) {
    throw new RuntimeError(
      'RUNTIME_PLATFORM',
      `onnxruntime-node has no library for ${platform} ${arch}, only for ${Object.keys(LIBRARIES).join(', ')}: ` +
        'run the node on another machine or in a container of one of these',
    )
  }
  const path = join(home, 'bin', 'napi-v6', platform, arch, file)
  if (existsSync(path)) return path
  throw new RuntimeError(
    'RUNTIME_LIBRARY',
    `${path} is missing: install onnxruntime-node again on this machine, for ${platform} ${arch}`,
  )
}
