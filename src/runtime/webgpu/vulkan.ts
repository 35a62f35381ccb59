import koffi, { type LibraryHandle } from 'koffi'
import type { Adapter, AdapterKind } from './adapter.ts'

/** The loader of Vulkan's drivers, which comes with the system. */
const LIBRARY = 'libvulkan.so.1'

/** VkStructureType. */
const INSTANCE_CREATE_INFO = 1
const APPLICATION_INFO = 0
const MEMORY_PROPERTIES_2 = 1_000_059_006
const MEMORY_BUDGET = 1_000_237_000

/** VK_API_VERSION_1_1, which has the functions that end in 2. */
const API_VERSION_1_1 = (1 << 22) | (1 << 12)

/** VkPhysicalDeviceType. */
const KINDS: readonly AdapterKind[] = ['other', 'integrated', 'discrete', 'virtual', 'software']

/** VkPhysicalDeviceProperties: u32 deviceType, then char deviceName[256]; larger than it is anywhere. */
const PROPERTIES = { bytes: 1024, driverVersion: 4, vendor: 8, kind: 16, name: 20, nameBytes: 256 }

/** VkPhysicalDeviceMemoryProperties, within the second version of it: 16 bytes of header before. */
const MEMORY = { bytes: 16 + 520, heapCount: 16 + 260, heaps: 16 + 264, heapBytes: 16, maxHeaps: 16 }

/** VK_MEMORY_HEAP_DEVICE_LOCAL_BIT */
const DEVICE_LOCAL = 1

/** VkPhysicalDeviceMemoryBudgetPropertiesEXT: header, u64 budget[16], u64 usage[16]. */
const BUDGET = { bytes: 16 + 256, budgets: 16, usages: 16 + 128 }

/** Whether the system has Vulkan's loader; loads none of its drivers. */
export function hasVulkanLoader(): boolean {
  try {
    koffi.load(LIBRARY)
    return true
  } catch {
    return false
  }
}

/**
 * All adapters that Vulkan's drivers name, in their order. Loads the drivers: for a process of its own, which a bad one
 * may crash. Throws where there is no loader or no driver.
 */
export function listVulkanAdapters(): Adapter[] {
  const library = koffi.load(LIBRARY)
  const instance = createInstance(library)
  const enumerate = library.func('int vkEnumeratePhysicalDevices(void *, void *, void *)')
  const count = new Uint32Array(1)
  check('vkEnumeratePhysicalDevices', enumerate(instance, count, null) as number)
  const devices = new BigUint64Array(count[0]!)
  check('vkEnumeratePhysicalDevices', enumerate(instance, count, devices) as number)
  const adapters = [...devices.subarray(0, count[0])].map((device) => describe(library, device))
  library.func('void vkDestroyInstance(void *, void *)')(instance, null)
  return adapters
}

function createInstance(library: LibraryHandle): bigint {
  const application = new Uint8Array(48)
  const ofApplication = new DataView(application.buffer)
  ofApplication.setUint32(0, APPLICATION_INFO, true)
  ofApplication.setUint32(44, API_VERSION_1_1, true)
  const info = new Uint8Array(64)
  const ofInfo = new DataView(info.buffer)
  ofInfo.setUint32(0, INSTANCE_CREATE_INFO, true)
  ofInfo.setBigUint64(24, koffi.address(application) as bigint, true)
  const out = new BigUint64Array(1)
  const create = library.func('int vkCreateInstance(void *, void *, void *)')
  check('vkCreateInstance', create(info, null, out) as number)
  return out[0]!
}

function describe(library: LibraryHandle, device: bigint): Adapter {
  const properties = new Uint8Array(PROPERTIES.bytes)
  library.func('void vkGetPhysicalDeviceProperties(void *, void *)')(device, properties)
  const of = new DataView(properties.buffer)
  const name = Buffer.from(properties.subarray(PROPERTIES.name, PROPERTIES.name + PROPERTIES.nameBytes))
  return {
    name: name.toString('utf8').split('\0')[0]!,
    kind: KINDS[of.getUint32(PROPERTIES.kind, true)] ?? 'other',
    driverVersion: driverVersionText(
      of.getUint32(PROPERTIES.vendor, true),
      of.getUint32(PROPERTIES.driverVersion, true),
    ),
    ...memoryOf(library, device),
  }
}

function memoryOf(library: LibraryHandle, device: bigint): Pick<Adapter, 'totalBytes' | 'freeBytes'> {
  const budget = new Uint8Array(BUDGET.bytes)
  const ofBudget = new DataView(budget.buffer)
  ofBudget.setUint32(0, MEMORY_BUDGET, true)
  const memory = new Uint8Array(MEMORY.bytes)
  const of = new DataView(memory.buffer)
  of.setUint32(0, MEMORY_PROPERTIES_2, true)
  of.setBigUint64(8, koffi.address(budget) as bigint, true)
  library.func('void vkGetPhysicalDeviceMemoryProperties2(void *, void *)')(device, memory)
  const numHeaps = Math.min(MEMORY.maxHeaps, of.getUint32(MEMORY.heapCount, true))
  const heaps = Array.from({ length: numHeaps }, (_, i) => {
    const size = Number(of.getBigUint64(MEMORY.heaps + i * MEMORY.heapBytes, true))
    const limit = Number(ofBudget.getBigUint64(BUDGET.budgets + 8 * i, true))
    const used = Number(ofBudget.getBigUint64(BUDGET.usages + 8 * i, true))
    return {
      size,
      // A driver that keeps no budget leaves zeros.
      free: limit === 0 ? size : Math.max(0, Math.min(size, limit - used)),
      isLocal: (of.getUint32(MEMORY.heaps + i * MEMORY.heapBytes + 8, true) & DEVICE_LOCAL) !== 0,
    }
  })
  const local = heaps.filter(({ isLocal }) => isLocal)
  const sum = (part: 'size' | 'free') => local.reduce((bytes, heap) => bytes + heap[part], 0)
  return { totalBytes: sum('size'), freeBytes: sum('free') }
}

/** NVIDIA packs its driver's version in its own way; the others do as Vulkan does. */
function driverVersionText(vendor: number, version: number): string {
  if (vendor === 0x10de) return `${version >>> 22}.${(version >>> 14) & 0xff}.${(version >>> 6) & 0xff}`
  return `${version >>> 22}.${(version >>> 12) & 0x3ff}.${version & 0xfff}`
}

function check(name: string, result: number): void {
  // Errors are below zero.
  if (result < 0) throw new Error(`${name} gave ${result}: no Vulkan driver on this machine can be used`)
}
