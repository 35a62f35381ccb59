import { errorMessage } from '../../base/errors.ts'
import { listVulkanAdapters } from './vulkan.ts'

/**
 * This module is run as a process, `node adapter-look.ts`, since it loads drivers, any of which may crash. It prints
 * the adapters that the system's Vulkan drivers name, as JSON.
 */
try {
  console.log(JSON.stringify(listVulkanAdapters()))
} catch (error) {
  console.log(errorMessage(error))
  process.exitCode = 1
}
