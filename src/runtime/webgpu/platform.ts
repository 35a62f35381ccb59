import type { Device } from '../device.ts'

/** The adapter that the library chooses by itself. */
export const WEBGPU: Device = { kind: 'webgpu', index: 0 }

/** What the library computes WebGPU on, by platform and architecture. */
const BACKENDS: Readonly<Record<string, string>> = {
  'linux x64': 'Vulkan',
  'darwin arm64': 'Metal',
  'win32 x64': 'D3D12',
  'win32 arm64': 'D3D12',
}

/** What WebGPU computes on in the runtime's library for this platform; undefined: it has none. */
export function webGpuBackend(platform: string = process.platform, arch: string = process.arch): string | undefined {
  return BACKENDS[`${platform} ${arch}`]
}

/** Why the runtime's library has no WebGPU here; undefined where it has. */
export function webGpuAvailable(platform: string = process.platform, arch: string = process.arch): string | undefined {
  if (webGpuBackend(platform, arch) !== undefined) return undefined
  const others = Object.keys(BACKENDS).join(', ')
  return `onnxruntime-node has no WebGPU for ${platform} ${arch}, only for ${others}: use --device cpu`
}
