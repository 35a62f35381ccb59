import { setPriority } from 'node:os'

/** Less than an ordinary thread, which then runs as soon as it has something to do. */
const BACKGROUND = 10

/**
 * Lets the calling thread, and those that it creates from now on, give way to all others of the machine. Only on Linux:
 * elsewhere it would be the whole process.
 */
export function yieldToOthers(): void {
  if (process.platform === 'linux') setPriority(BACKGROUND)
}
